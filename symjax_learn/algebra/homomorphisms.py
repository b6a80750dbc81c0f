"""Sums over all maps of small graphs into a matrix, by eliminating one vertex after the other.

    hom_P(A) = Σ over all maps j of the vertices of P of Π_{uv∈P} A_{j(u) j(v)}

costs n^v term by term. Summing over one vertex x first replaces it by a vector on its only neighbour,
w_u(i) = Σ_k M_ik w_x(k), or by a matrix between its two neighbours, M_ij = Σ_k P_ik w_x(k) Q_kj. So a
graph that falls apart in this way costs n³ for each product of matrices, and a tree n². Partial sums that
several graphs share are computed once.
"""

from collections.abc import Iterable, Iterator, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# ("times", a, b) elementwise; ("turn", a) the transpose; ("product", a, w, b) = a·diag(w)·b;
# ("apply", a, w) = a·w; ("clique", a), the sum over three vertices of K_4. Operands are places in a list
# of values whose first is A; w = −1 stands for ones.
Operation = tuple[str | int, ...]

_MATRIX, _ONES = 0, -1
_CLIQUE = {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}


class Elimination:
    """A growing list of operations that evaluates hom_P, rooted at one vertex, for many graphs P.

    Attributes:
        operations: each makes one value, a matrix or a vector; value 0 is A, value i + 1 is made by
            operation i.
    """

    def __init__(self):
        """No operations yet."""
        self.operations: list[Operation] = []
        self._value: dict[Operation, int] = {}

    def add(self, edges: Sequence[tuple[int, int]]) -> int:
        """The value h with Σ_i h(i) = hom_P(A), i the image of a vertex of largest degree.

        Of all orders of elimination one with the fewest new products of matrices, then operations.

        Args:
            edges: of a connected graph, repeated where parallel, which can be taken apart by eliminating
                vertices with at most two neighbours; or K_4 itself.

        Raises:
            ValueError: another graph.

        Cost: at worst v! orders.

        >>> from symjax_learn.algebra.homomorphisms import Elimination
        >>> plan = Elimination()
        >>> plan.add([(0, 1), (1, 2), (0, 2)])  # A·A ∘ A, and its row sums
        3
        >>> plan.operations
        [('product', 0, -1, 0), ('times', 0, 1), ('apply', 2, -1)]
        """
        if len(edges) == len(_CLIQUE) and {(min(e), max(e)) for e in edges} == _CLIQUE:
            return self._make("clique", _MATRIX)
        degree: dict[int, int] = {}
        for edge in edges:
            for v in edge:
                degree[v] = degree.get(v, 0) + 1
        roots = [v for v in sorted(degree) if degree[v] == max(degree.values())]
        start = len(self.operations)
        best: tuple[tuple[int, int], list[int]] | None = None
        for root in roots:
            for order in _orders(_neighbours(edges), root):
                self._run(edges, order)
                new = self.operations[start:]
                self._forget(start)
                cost = sum(operation[0] == "product" for operation in new), len(new)
                if best is None or cost < best[0]:
                    best = cost, order
        if best is None:
            raise ValueError(
                "edges: expected K_4 or a connected graph that falls apart by eliminating vertices with at "
                f"most two neighbours, and got {edges}."
            )
        return self._run(edges, best[1])

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
                vectors[u].append(self._make("apply", self._matrix(matrices, u, x), weight))
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
        key, turned = (left, weight, right), (self._turn(right), weight, self._turn(left))
        if key <= turned:
            return self._make("product", *key)
        return self._turn(self._make("product", *turned))

    def _matrix(self, matrices: dict, u: int, v: int) -> int:
        """The product of the factors between two vertices."""
        there, back = sorted(matrices[u, v]), sorted(matrices[v, u])
        return self._times(there) if there <= back else self._turn(self._times(back))

    def _times(self, factors: list[int]) -> int:
        if not factors:
            return _ONES
        first, *rest = sorted(factors)
        for factor in rest:
            first = self._make("times", first, factor)
        return first

    def _turn(self, value: int) -> int:
        if self._is_symmetric(value):
            return value
        operation = self.operations[value - 1]
        return int(operation[1]) if operation[0] == "turn" else self._make("turn", value)

    def _is_symmetric(self, value: int) -> bool:
        if value == _MATRIX:
            return True
        name, *operands = self.operations[value - 1]
        match name, operands:
            case "times", [int(a), int(b)]:
                return self._is_symmetric(a) and self._is_symmetric(b)
            case "product", [int(a), _, int(b)]:
                return self._turn(a) == b
        return False

    def _make(self, *operation: str | int) -> int:
        if operation not in self._value:
            self.operations.append(operation)
            self._value[operation] = len(self.operations)
        return self._value[operation]

    def _forget(self, start: int) -> None:
        for operation in self.operations[start:]:
            del self._value[operation]
        del self.operations[start:]


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
    values = [matrix]
    for name, *operands in operations:
        a, *rest = (values[int(i)] if int(i) != _ONES else None for i in operands)
        assert a is not None
        match name, rest:
            case "times", [b]:
                value = a * b
            case "turn", []:
                value = a.mT
            case "product", [None, b]:
                value = a @ b
            case "product", [w, b]:
                value = (a * w[..., None, :]) @ b
            case "apply", [None]:
                value = a.sum(axis=-1)
            case "apply", [w]:
                value = jnp.einsum("...ij,...j->...i", a, w)
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
