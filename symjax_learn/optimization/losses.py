"""Convex losses ℓ(y, f) of one sample: of a target y and a prediction f, a number.

A loss is any such function in JAX; those here also know which targets they take. In a fit one sample's
target has the shape ``outputs``, and so has its prediction, except for :func:`multinomial`.
"""

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from symjax_learn._types import checked_count, is_traced


class AbstractLoss(eqx.Module):
    """A loss that knows its targets; of several outputs it is the sum over outputs."""

    @abc.abstractmethod
    def __call__(self, target: Any, prediction: Any) -> Array:
        """ℓ(y, f), a scalar, convex in f."""

    @abc.abstractmethod
    def takes(self, targets: Float[Array, "n o"]) -> Bool[Array, " n"]:
        """Which samples have targets that the loss is of; also of targets that are being traced."""

    @property
    @abc.abstractmethod
    def kind(self) -> str:
        """These targets, in the words of an error."""

    def check(self, targets: Float[np.ndarray, "n o"]) -> None:
        """Raise ``ValueError`` for a target that it does not take."""
        bad = np.flatnonzero(~np.asarray(self.takes(jnp.asarray(targets))))
        if len(bad):
            raise ValueError(
                f"y: {self.kind}, and row {bad[0]} is {_shown(targets[bad[0]])}; repair it, or use "
                "another loss."
            )


class Squared(AbstractLoss):
    """See :data:`squared`."""

    def __call__(self, target: Any, prediction: Any) -> Array:
        """(y − f)²."""
        return jnp.sum((target - prediction) ** 2)

    def takes(self, targets: Float[Array, "n o"]) -> Bool[Array, " n"]:
        """All real numbers."""
        return jnp.ones(len(targets), bool)

    @property
    def kind(self) -> str:
        """Of no error."""
        return "targets are real numbers"


class Logistic(AbstractLoss):
    """See :data:`logistic`."""

    def __call__(self, target: Any, prediction: Any) -> Array:
        """The sum of log(1 + e^f) − y f."""
        return jnp.sum(jax.nn.softplus(prediction) - target * prediction)

    def takes(self, targets: Float[Array, "n o"]) -> Bool[Array, " n"]:
        """Labels 0 and 1."""
        return _are_labels(targets, 2)

    @property
    def kind(self) -> str:
        """Two classes."""
        return "labels are the integers 0 to 1"


class Multinomial(AbstractLoss):
    """See :func:`multinomial`."""

    num_classes: int = eqx.field(static=True)

    def __call__(self, target: Any, prediction: Any) -> Array:
        """The value log Σ_k e^{f_k} − f_y."""
        own = jnp.arange(self.num_classes, dtype=jnp.int32) == target.astype(jnp.int32)
        return jax.nn.logsumexp(prediction) - jnp.sum(jnp.where(own, prediction, 0.0))

    def takes(self, targets: Float[Array, "n o"]) -> Bool[Array, " n"]:
        """Labels 0, …, K − 1."""
        return _are_labels(targets, self.num_classes)

    @property
    def kind(self) -> str:
        """K classes."""
        return f"labels are the integers 0 to {self.num_classes - 1}"


class Poisson(AbstractLoss):
    """See :data:`poisson`."""

    def __call__(self, target: Any, prediction: Any) -> Array:
        """e^f − y f."""
        return jnp.sum(jnp.exp(prediction) - target * prediction)

    def takes(self, targets: Float[Array, "n o"]) -> Bool[Array, " n"]:
        """Numbers ≥ 0."""
        return jnp.all(targets >= 0, axis=1)

    @property
    def kind(self) -> str:
        """Counts."""
        return "counts are >= 0"


class Huber(AbstractLoss):
    """See :func:`huber`."""

    delta: float | Array

    def __call__(self, target: Any, prediction: Any) -> Array:
        """(y − f)²/2 up to |y − f| = δ, then linear."""
        residual = target - prediction
        delta = jnp.asarray(self.delta).astype(jnp.result_type(residual))
        slope = jnp.clip(residual, -delta, delta)  # |y − f| has no second derivative at 0
        return jnp.sum(slope * (residual - slope / 2))

    def takes(self, targets: Float[Array, "n o"]) -> Bool[Array, " n"]:
        """All real numbers."""
        return jnp.ones(len(targets), bool)

    @property
    def kind(self) -> str:
        """Of no error."""
        return "targets are real numbers"


class Quantile(AbstractLoss):
    """See :func:`quantile`."""

    level: float | Array

    def __call__(self, target: Any, prediction: Any) -> Array:
        """The sum of max(q r, (q − 1) r), r = y − f."""
        residual = target - prediction
        level = jnp.asarray(self.level).astype(jnp.result_type(residual))
        return jnp.sum(jnp.maximum(level * residual, (level - 1) * residual))

    def takes(self, targets: Float[Array, "n o"]) -> Bool[Array, " n"]:
        """All real numbers."""
        return jnp.ones(len(targets), bool)

    @property
    def kind(self) -> str:
        """Of no error."""
        return "targets are real numbers"


class SmoothQuantile(eqx.Module):
    """max over q − 1 ≤ a ≤ q of a r − h a²/2: the pinball loss, rounded off by at most h/2.

    Attributes:
        level: q.
        width: h.
    """

    level: Float[Array, ""]
    width: Float[Array, ""]

    def slope(self, residual: Array) -> Array:
        """The a that attains the maximum: a feasible dual variable of the pinball loss."""
        return jnp.clip(residual / self.width, self.level - 1, self.level)

    def __call__(self, target: Array, prediction: Array) -> Array:
        """The maximum."""
        residual = target - prediction
        slope = self.slope(residual)
        return slope * (residual - self.width * slope / 2)


squared = Squared()
"""(y − f)², the loss of :func:`~symjax_learn.fit_ridge`."""

logistic = Logistic()
"""log(1 + e^f) − y f of labels y = 0 or 1: f is the logit of P(y = 1)."""

poisson = Poisson()
"""e^f − y f of counts y ≥ 0: f is the logarithm of their mean."""


def multinomial(num_classes: int) -> Multinomial:
    """The loss log Σ_k e^{f_k} − f_y of labels y = 0, …, K − 1: K logits, which a fit makes sum to zero.

    Args:
        num_classes: K ≥ 2.

    >>> import symjax_learn as sj, jax.numpy as jnp
    >>> float(sj.losses.multinomial(4)(jnp.asarray(2.0), jnp.zeros(4)))  # log 4
    1.386...
    """
    return Multinomial(checked_count("num_classes", num_classes, 2))


def huber(delta: float | Array) -> Huber:
    """(y − f)²/2 where |y − f| ≤ δ, else δ(|y − f| − δ/2): no sample pulls harder than δ.

    Args:
        delta: δ > 0.

    >>> import symjax_learn as sj
    >>> float(sj.losses.huber(1.0)(0.0, 3.0))
    2.5
    """
    if not is_traced(delta) and not (np.ndim(delta) == 0 and 0 < float(delta) < math.inf):
        raise ValueError(f"delta: expected one finite number > 0 and got {delta!r}.")
    # An array, so that one program serves every δ.
    return Huber(jnp.asarray(delta, None if is_traced(delta) else float))


def quantile(level: float | Array) -> Quantile:
    """The pinball loss max(q(y − f), (q − 1)(y − f)): f is the quantile of y at level q.

    Args:
        level: 0 < q < 1.

    >>> import symjax_learn as sj
    >>> float(sj.losses.quantile(0.9)(3.0, 1.0))
    1.8
    """
    if not is_traced(level) and not (np.ndim(level) == 0 and 0 < float(level) < 1):
        raise ValueError(f"level: expected one number between 0 and 1 and got {level!r}.")
    return Quantile(jnp.asarray(level, None if is_traced(level) else float))


def _are_labels(targets: Float[Array, "n o"], num_classes: int) -> Bool[Array, " n"]:
    known = (targets >= 0) & (targets < num_classes) & (targets == jnp.round(targets))
    return jnp.all(known, axis=1)


def _shown(row: Float[np.ndarray, " o"]) -> str:
    return str(row[0]) if len(row) == 1 else str(row)
