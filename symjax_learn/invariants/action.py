"""How each group moves the points of each space, and the matrices D(g) on its eigenspaces."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from symjax_learn._types import Element, FloatArray, Key, as_array
from symjax_learn.algebra.groups import AbstractGroup
from symjax_learn.algebra.lie import LieGroup
from symjax_learn.algebra.matrices import MatrixGroup
from symjax_learn.algebra.products import ProductGroup, WreathElement, WreathGroup
from symjax_learn.geometry.product import Product
from symjax_learn.geometry.spaces import AbstractSpace, Level, checked_points
from symjax_learn.geometry.torus import Torus
from symjax_learn.invariants.exact import exact_matrices, product_matrices
from symjax_learn.invariants.monomial import factors, signed_affine
from symjax_learn.invariants.movement import move, shift
from symjax_learn.invariants.pairs import Share, shares, unfit
from symjax_learn.invariants.representations import Values, fitted_matrices, torus_representation


class Action(eqx.Module):
    """A group acting on a space by isometries: the group's interface, and ``act``.

    Made by :func:`action`, which checks that the pair fits.

    Attributes:
        space: the space.
        group: the group.
        user_act: a user's own ``act(g, point)`` of one element on one point, or ``None``.
    """

    space: AbstractSpace
    group: AbstractGroup
    user_act: Callable[[Element, Array], Array] | None = eqx.field(static=True, default=None)

    def act(self, g: Element, points: FloatArray) -> Float[Array, "..."]:
        """gx, for batches of elements and of points that broadcast.

        Args:
            g: elements with leading axes ``*batch``.
            points: ``(*batch, *point_shape)``. On the torus they are not reduced to one period.

        Returns:
            ``(*batch, *point_shape)`` in the dtype of the points.

        Raises:
            TypeError: the points are not floating, or g is no element of this group.
            ValueError: the shape is not that of points, or of elements.

        Cost: a gather (permutations) or d² products (affine maps) for each pair.
        """
        return _act(self, self._checked_element(g), checked_points(self.space, points, "points"))

    def _checked_element(self, g: Element) -> Element:
        """Arrays of the structure and the trailing shapes of the identity."""
        identity = self.identity
        if jax.tree.structure(g) != jax.tree.structure(identity):
            raise TypeError(
                f"g: elements of {type(self.group).__name__} are made like its identity, {identity}, "
                f"and got {g!r}; take them from sample, elements or generators."
            )
        g = jax.tree.map(lambda leaf: as_array("g", leaf), g)
        for leaf, one in zip(jax.tree.leaves(g), jax.tree.leaves(identity), strict=True):
            if leaf.shape[max(0, leaf.ndim - one.ndim) :] != one.shape:
                raise ValueError(
                    f"g: expected arrays of shape (*batch, {', '.join(map(str, one.shape))}) and got "
                    f"{leaf.shape}."
                )
        return jax.tree.map(jnp.asarray, g)

    @property
    def generators(self) -> Element:
        """The group's generators."""
        return self.group.generators

    @property
    def order(self) -> int | float:
        """The group's order."""
        return self.group.order

    @property
    def degree(self) -> int:
        """The group's degree."""
        return self.group.degree

    @property
    def identity(self) -> Element:
        """The group's identity."""
        return self.group.identity

    def compose(self, g: Element, h: Element) -> Element:
        """The product g∘h."""
        return self.group.compose(g, h)

    def inverse(self, g: Element) -> Element:
        """The inverse element."""
        return self.group.inverse(g)

    def matrix(self, g: Element) -> Array:
        """The group's matrix of g."""
        return self.group.matrix(g)

    def sample(self, key: Key, shape: tuple[int, ...] = ()) -> Element:
        """Independent uniform elements."""
        return self.group.sample(key, shape)

    def elements(self, **options: Any) -> Element:
        """All elements; refuses large groups."""
        return self.group.elements(**options)

    def representations(
        self, levels: Sequence[Level], g: Element
    ) -> list[Float[np.ndarray, "batch m m"]]:
        """D(g) on each eigenspace: T_g φ = φ D(g) with (T_g f)(x) = f(g⁻¹x); float64, NumPy.

        Orthogonal, and D(gh) = D(g) D(h). In closed form on tori, where the group permutes the
        eigenfunctions up to signs, on S², SO(3) and the ball of R³ (Wigner matrices, to degree 30), on
        Gaussian spaces and, where as cheap as a fit, on other spheres and balls (symmetric powers), and
        for products of these; elsewhere by least squares at random points, with a checked residual.

        Args:
            levels: of ``space.levels``.
            g: a batch of elements with one leading axis.

        Raises:
            ValueError: an eigenspace is not invariant, so that the act is no isometry.

        Cost: O(batch·m²) for each level; by least squares O(batch·m³), and two compilations.
        """
        if self.user_act is None:
            found = self._exact_representations(levels, g)
            if found is not None:
                return found
        return self._fitted_representations(levels, g)

    def _exact_representations(
        self, levels: Sequence[Level], g: Element
    ) -> list[Float[np.ndarray, "batch m m"]] | None:
        if isinstance(self.space, Torus):
            elements, shifts = signed_affine(self.group, g), None
            if self.group.lie_algebra is not None:  # any shifts, not only rational ones
                with jax.enable_x64(True):  # whatever the session
                    shifts = np.asarray(shift(self.group, g), float)
            return [torus_representation(self.space, level, elements, shifts) for level in levels]
        if isinstance(self.space, Product):
            combinations = [self.space.combinations(level) for level in levels]
            parts = [
                _part_matrices(
                    share, {one[place].key: one[place] for of in combinations for one in of}, g
                )
                for place, share in enumerate(shares(self.space, self.group))
            ]
            return [product_matrices(of_level, parts) for of_level in combinations]
        return exact_matrices(self.space, levels, self.group, self.exact_elements(g))

    def exact_elements(self, g: Element) -> Element:
        """Elements of matrix groups in float64, also of a float32 session."""
        matrices = any(isinstance(factor, MatrixGroup) for factor in factors(self.group))
        if not matrices or self.group.lie_algebra is not None:
            return g
        with jax.enable_x64(True):
            return self.group.from_faithful(self.group.faithful(g))

    def _fitted_representations(
        self, levels: Sequence[Level], g: Element
    ) -> list[Float[np.ndarray, "batch m m"]]:
        g = self.exact_elements(g)
        with jax.enable_x64(True):  # whatever the session
            inverses = self.inverse(g)

            def moved(row: int, values: Values, points: Array) -> Array:
                return values(self.act(jax.tree.map(lambda leaf: leaf[row], inverses), points))

            return fitted_matrices(self.space, levels, moved, jax.tree.leaves(inverses)[0].shape[0])

    def generator_representations(self, levels: Sequence[Level]) -> list[Float[np.ndarray, "k m m"]]:
        """D(g) for the generators, in float64 in every session."""
        with jax.enable_x64(True):
            return self.representations(levels, self.group.generators)

    def derivations(self, levels: Sequence[Level]) -> list[Float[np.ndarray, "a m m"]]:
        """dρ(A) on each eigenspace, for each A of the Lie algebra's basis; float64, NumPy.

        dρ(A) = d/dt D(exp(tA)) at 0: skew, and [dρ(A), dρ(B)] = dρ([A, B]). By least squares of the
        derivatives of φ(exp(−tA)x) at random points, with a checked residual.

        Args:
            levels: of ``space.levels``.

        Returns:
            For each level ``(dim G, m, m)``; of length 0 for finite groups.

        Raises:
            ValueError: a derivative that leaves the eigenspace, so that the act is no isometry.

        Cost: dim G·m³ for each level, and two compilations.
        """
        if self.group.lie_algebra is None:
            return [np.zeros((0, level.multiplicity, level.multiplicity)) for level in levels]
        with jax.enable_x64(True):
            algebra = jax.tree.map(jnp.asarray, self.group.lie_algebra)

            @eqx.filter_jit
            def rate(a: Element, values: Values, points: Array) -> Array:
                return -jax.jvp(values, (points,), (_velocity(self, a, points),))[1]

            def rates(row: int, values: Values, points: Array) -> Array:
                return rate(jax.tree.map(lambda leaf: leaf[row], algebra), values, points)

            return fitted_matrices(self.space, levels, rates, self.group.dimension)

    def representation(self, level: Level, g: Element) -> Float[np.ndarray, "batch m m"]:
        """D(g) on one eigenspace, as :meth:`representations`."""
        return self.representations([level], g)[0]


@eqx.filter_jit
def _act(action: Action, g: Element, points: Array) -> Array:
    if action.user_act is not None:
        return _vectorized(action, action.user_act, g, points)
    return move(action.space, action.group, g, points)


def velocities(action: Action, points: Float[Array, "batch ..."]) -> Float[Array, "a batch ..."]:
    """A·x = d/dt exp(tA)x at 0, for each A of the basis of the Lie algebra: tangent vectors at x.

    Args:
        action: of a group with a Lie algebra, or of a finite one, which has none.
        points: ``(batch, *point_shape)``.

    Returns:
        ``(dim G, batch, *point_shape)``, in the coordinates of the points.
    """
    if action.group.lie_algebra is None:
        return jnp.zeros((0, *points.shape), points.dtype)
    # Of a group that is traced it is in the precision of the session, whatever that of the points.
    algebra = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), action.group.lie_algebra)
    return jax.vmap(lambda a: _velocity(action, a, points))(algebra)


def _velocity(action: Action, a: Element, points: Array) -> Array:
    def moved(time: Array) -> Array:
        return _act(
            action, _near_identity(action.group, jax.tree.map(lambda leaf: time * leaf, a)), points
        )

    return jax.jvp(moved, (jnp.zeros(()),), (jnp.ones(()),))[1]


def _near_identity(group: AbstractGroup, a: Element) -> Element:
    """exp(a) to first order: where only a derivative at 0 is wanted, no exponential is compiled."""
    match group:
        case LieGroup():
            return jnp.broadcast_to(group.identity, a.shape) + jnp.asarray(a, float)
        case ProductGroup():
            return tuple(
                factor.identity if part is None else _near_identity(factor, part)
                for factor, part in zip(group.factors, a, strict=True)
            )
        case WreathGroup():
            inner, identity = _near_identity(group.inner, a), group.identity
            widened = jax.tree.map(
                lambda leaf, one: jnp.broadcast_to(leaf, one.shape), inner, identity.inner
            )
            return WreathElement(widened, identity.images)
    return group.exponential(a)


def _part_matrices(
    share: Share, levels: Mapping[Hashable, Level], g: Element
) -> dict[Hashable, Float[np.ndarray, "batch m m"]]:
    """D on the levels of one part of a product, by their keys."""
    if share.group is None:
        return {key: np.eye(level.multiplicity)[None] for key, level in levels.items()}
    acting = Action(share.space, share.group)
    matrices = acting.representations(list(levels.values()), share.element(g))
    return dict(zip(levels, matrices, strict=True))


def _vectorized(
    action: Action, act: Callable[[Element, Array], Array], g: Element, points: Array
) -> Array:
    """A user's act of one element on one point, on batches that broadcast."""
    rank = len(action.space.point_shape)
    batch = points.shape[: points.ndim - rank]
    for leaf, one in zip(jax.tree.leaves(g), jax.tree.leaves(action.identity), strict=True):
        batch = jnp.broadcast_shapes(batch, leaf.shape[: leaf.ndim - one.ndim])
    wide = jax.tree.map(lambda leaf, one: jnp.broadcast_to(leaf, batch + one.shape), g, action.identity)
    for _ in batch:
        act = jax.vmap(act)
    return act(wide, jnp.broadcast_to(points, batch + action.space.point_shape))


def action(
    space: AbstractSpace,
    group: AbstractGroup,
    *,
    act: Callable[[Element, Array], Array] | None = None,
) -> Action:
    """The group acting on the space: by moving coordinates, or by a user's own ``act``.

    Args:
        space: the space.
        group: what fits the space, or any group with ``act``. Direct and wreath products act on
            consecutive blocks of coordinates.

            - ``Torus``: (signed) permutations of coordinates, affine maps, translations; on a lattice
              those that keep it.
            - ``Sphere``, ``Ball``, ``Gaussian``: (signed) permutations, finite and Lie groups of
              orthogonal matrices.
            - ``Box`` (about its centre), ``Hypercube``: (signed) permutations of coordinates.
            - ``Graphs``: (signed) permutations of the nodes, A ↦ PAPᵀ.
            - ``Labels``, ``DiscreteSpace``, ``Mesh``: permutations of points that keep the
              Laplacian.
            - ``RotationGroup``: rotations L by x ↦ Lx; a ``direct_product(L, R)`` by x ↦ LxR⁻¹.
            - ``Stiefel(k, p)``: a group of degree p by X ↦ XRᵀ, one of degree k by X ↦ LX, or
              ``direct_product(L, R)``; ``Grassmannian``: P ↦ gPgᵀ.
            - ``Product``: a ``direct_product`` whose factors move the factors of the space, in their
              order; labels that no factor moves stay as they are.
            - ``Sets(space, n)``: a permutation group H of degree n; ``direct_product(H, K)``, where K
              moves every point; ``wreath_product(K, n)``, which moves each by its own.
        act: ``act(g, point) -> point`` for one element and one point, by isometries, a left action:
            act(gh, x) = act(g, act(h, x)). Written with ``jax.numpy``; batches are added here.

    Raises:
        TypeError: the pair has no action of its own, and none was given.
        ValueError: a degree that does not fit, factors that can be shared out in several ways, or a
            generator that is no isometry.

    >>> import symjax_learn as sj, jax.numpy as jnp
    >>> shuffle = sj.action(sj.Torus(3), sj.cyclic_group(3))
    >>> shuffle.act(jnp.asarray([1, 2, 0]), jnp.asarray([0.1, 0.2, 0.3])).round(1).tolist()
    [0.3..., 0.1..., 0.2...]
    """
    if not isinstance(space, AbstractSpace):
        raise TypeError(f"space: expected a space, such as Torus(3), and got {space!r}.")
    if act is not None:
        if not callable(act):
            raise TypeError(f"act: expected a function act(g, point) and got {act!r}.")
        return Action(space, group, act)
    if (reason := unfit(space, group)) is not None:
        raise reason
    return Action(space, group, None)


def as_action(space: AbstractSpace, group: AbstractGroup | Action) -> Action:
    """An action as it is, checked to be on this space; a group with its own action."""
    if not isinstance(group, Action):
        return action(space, group)
    if not eqx.tree_equal(group.space, space):
        raise ValueError(
            f"group: this action is on {group.space} and the space is {space}; make the action on "
            "the same space."
        )
    return group


def checked_action(action: object) -> Action:
    """An action as it is; anything else is refused in words."""
    if not isinstance(action, Action):
        raise TypeError(
            f"action: expected the answer of action(space, group) and got a {type(action).__name__}."
        )
    return action
