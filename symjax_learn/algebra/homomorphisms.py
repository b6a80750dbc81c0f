"""Sums over all maps of small graphs into a matrix, by eliminating one vertex after the other.

    hom_P(A) = Σ over all maps j of the vertices of P of Π_{uv∈P} A_{j(u) j(v)}

costs n^v term by term. Summing over one vertex x first replaces it by a vector on its only neighbour,
w_u(i) = Σ_k w_x(k) M_ki, or by a matrix between its two neighbours, M_ij = Σ_k P_ik w_x(k) Q_kj. So a
graph that falls apart in this way costs n³ for each product of matrices, and a tree n². Partial sums
that several graphs share are computed once.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# The place of A; and, instead of a place, ones as a weight, or no operand.
_MATRIX, _ONES = 0, -1


class Operation(NamedTuple):
    """One value from earlier ones, which are named by their places; that of A is 0.

    Attributes:
        name: ``"times"``, a ∘ b elementwise; ``"turn"``, aᵀ; ``"product"``, a·diag(w)·b; ``"apply"``,
            w·a; ``"clique"``, h(i) = Σ_jkl of the six edges of K_4.
        left: a.
        right: b; −1, where there is none.
        weight: w; −1 for ones.
    """

    name: str
    left: int
    right: int = _ONES
    weight: int = _ONES


class Elimination:
    """A growing list of operations that evaluates hom_P, rooted at one vertex, for many graphs P.

    Attributes:
        operations: each makes one value, a matrix or a vector; operation i that of place i + 1.
    """

    def __init__(self):
        """No operations yet."""
        self.operations: list[Operation] = []
        self._value: dict[Operation, int] = {}

    def add(self, edges: Sequence[tuple[int, int]]) -> int:
        """The place of the value h with Σ_i h(i) = hom_P(A), i the image of a vertex of largest degree.

        Of all orders of elimination one with the fewest new products of matrices, then operations.

        Args:
            edges: of a connected graph without loops, repeated where parallel, which falls apart
                by eliminating vertices with at most two neighbours; or of K_4.

        Raises:
            ValueError: another graph.

        Cost: at worst v! orders.

        >>> from symjax_learn.algebra.homomorphisms import Elimination
        >>> plan = Elimination()
        >>> plan.add([(0, 1), (1, 2), (0, 2)])  # A·A ∘ A, and its row sums
        3
        >>> [(name, left, right) for name, left, right, _ in plan.operations]
        [('product', 0, 0), ('times', 0, 1), ('apply', 2, -1)]
        """
        degree = Counter(itertools.chain(*edges))
        neighbours = _neighbours(edges)
        if len(edges) == 6 and [len(around) for around in neighbours.values()] == [3] * 4:
            return self._make(Operation("clique", _MATRIX))
        roots = [v for v in sorted(degree) if degree[v] == max(degree.values())]
        orders = [order for root in roots for order in _orders(neighbours, root)]
        if not orders or any(u == v for u, v in edges):
            raise ValueError(
                "edges: expected K_4, or a connected graph without loops that falls apart by "
                f"eliminating vertices with at most two neighbours, and got {edges}."
            )
        return self._run(edges, min(orders, key=lambda order: self._cost(edges, order)))

    def _cost(self, edges: Sequence[tuple[int, int]], order: list[int]) -> tuple[int, int]:
        """New products of matrices, and new operations, of one order of elimination."""
        start = len(self.operations)
        self._run(edges, order)
        new = self.operations[start:]
        for operation in new:
            del self._value[operation]
        del self.operations[start:]
        return sum(operation.name == "product" for operation in new), len(new)

    def _run(self, edges: Sequence[tuple[int, int]], order: list[int]) -> int:
        """The operations of one order of elimination, which ends with the root."""
        # Factors of each vertex, and of each pair in both directions.
        vectors: dict[int, list[int]] = {v: [] for v in order}
        matrices: dict[tuple[int, int], list[int]] = {}
        for u, v in edges:
            matrices.setdefault((u, v), []).append(_MATRIX)
            matrices.setdefault((v, u), []).append(_MATRIX)
        for x in order[:-1]:
            ends = [v for (u, v) in matrices if u == x]
            weight = self._times(vectors[x])
            if len(ends) == 1:
                (u,) = ends
                link = self._matrix(matrices, x, u)
                vectors[u].append(self._make(Operation("apply", link, weight=weight)))
            else:
                u, v = ends
                there = self._through(matrices, u, x, v, weight)
                back = self._turn(there)
                matrices.setdefault((u, v), []).append(there)
                matrices.setdefault((v, u), []).append(back)
            matrices = {pair: factors for pair, factors in matrices.items() if x not in pair}
        return self._times(vectors[order[-1]])

    def _through(self, matrices: dict, u: int, x: int, v: int, weight: int) -> int:
        """Σ_k P_ik w(k) Q_kj; of it and its transpose the one that comes first is computed."""
        left, right = self._matrix(matrices, u, x), self._matrix(matrices, x, v)
        there = Operation("product", left, right, weight)
        back = Operation("product", self._turn(right), self._turn(left), weight)
        return self._make(there) if there <= back else self._turn(self._make(back))

    def _matrix(self, matrices: dict, u: int, v: int) -> int:
        """The product of the factors between two vertices."""
        there, back = sorted(matrices[u, v]), sorted(matrices[v, u])
        return self._times(there) if there <= back else self._turn(self._times(back))

    def _times(self, factors: list[int]) -> int:
        if not factors:
            return _ONES
        first, *rest = sorted(factors)
        for factor in rest:
            first = self._make(Operation("times", first, factor))
        return first

    def _turn(self, value: int) -> int:
        if self._is_symmetric(value):
            return value
        operation = self.operations[value - 1]
        return operation.left if operation.name == "turn" else self._make(Operation("turn", value))

    def _is_symmetric(self, value: int) -> bool:
        if value == _MATRIX:
            return True
        name, left, right, _ = self.operations[value - 1]
        if name == "times":
            return self._is_symmetric(left) and self._is_symmetric(right)
        return name == "product" and self._turn(left) == right

    def _make(self, operation: Operation) -> int:
        if operation not in self._value:
            self.operations.append(operation)
            self._value[operation] = len(self.operations)
        return self._value[operation]


def _neighbours(edges: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for u, v in edges:
        found.setdefault(u, set()).add(v)
        found.setdefault(v, set()).add(u)
    return found


def _orders(neighbours: dict[int, set[int]], root: int) -> Iterator[list[int]]:
    """Orders in which every vertex has at most two neighbours left; leaves, which cost least, first."""
    if len(neighbours) == 1:
        yield [root]
        return
    others = [v for v in neighbours if v != root]
    leaves = [v for v in others if len(neighbours[v]) == 1]
    for x in leaves[:1] or [v for v in others if len(neighbours[v]) == 2]:
        left = {v: around - {x} for v, around in neighbours.items() if v != x}
        ends = neighbours[x]
        for v in ends:
            left[v] |= ends - {v}
        yield from ([x, *order] for order in _orders(left, root))


def rooted_sums(
    operations: Sequence[Operation], rooted: Sequence[int], matrix: Float[Array, "*batch n n"]
) -> Float[Array, "graphs *batch n"]:
    """Of each graph the values h(i) at its root i, Σ_i h(i) = hom_P(A), for symmetric matrices A.

    Args:
        operations: of an ``Elimination``; those made for the first graphs suffice for these.
        rooted: for each graph the value that ``add`` gave.
        matrix: A.

    Cost: n³ for each product of matrices, n⁴ for the clique, n² for any other operation.

    >>> from symjax_learn.algebra.homomorphisms import Elimination, rooted_sums
    >>> import jax.numpy as jnp
    >>> plan = Elimination()
    >>> triangle = plan.add([(0, 1), (1, 2), (0, 2)])
    >>> rooted_sums(plan.operations, [triangle], jnp.ones((3, 3))).tolist()  # 27 maps
    [[9.0, 9.0, 9.0]]
    """
    # Sums over rows, not products of a matrix and a vector: many of these take XLA long to compile.
    values = [matrix]
    for name, left, right, weight in operations:
        a = values[left]
        if weight != _ONES:  # of the vertex that is summed over
            w = values[weight]
            a = a * w[..., None, :] if name == "product" else a * w[..., None]
        match name:
            case "times":
                value = a * values[right]
            case "turn":
                value = a.mT
            case "product":
                value = a @ values[right]
            case "apply":
                value = a.sum(axis=-2)
            case _:
                value = _rooted_cliques(a)
        values.append(value)
    return jnp.stack([values[value] for value in rooted])


def _rooted_cliques(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n"]:
    """h(i) = Σ_jkl A_ij A_ik A_il A_jk A_kl A_lj: triangles among the neighbours of i."""

    def triangles(row: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
        weighted = matrix * row[..., None, :]
        return jnp.einsum("...jk,...kj->...", weighted @ weighted, weighted)

    rows = jnp.moveaxis(matrix, -2, 0)
    return jnp.moveaxis(jax.lax.map(jax.checkpoint(triangles), rows), 0, -1)
