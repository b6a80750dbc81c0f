"""The program that makes ``motif_tables.json``: ``python -m symjax_learn.algebra.motif_tables``.

A *pattern* is a multigraph without loops or isolated vertices, and stands for two functions of a
symmetric matrix A with zero diagonal, sums over all and over all injective maps j of its vertices:

    hom_P(A) = Σ_j Π_{uv∈P} A_{j(u) j(v)},    inj_P(A) the same, with all j(u) different.

Every map is injective on the classes of the partition of vertices into its fibres, so that
hom_P = Σ_π inj_{P/π} and, by Möbius inversion in the lattice of partitions,

    inj_P = Σ_π μ(π) hom_{P/π},    μ(π) = Π_{blocks b} (−1)^{|b|−1} (|b|−1)!,

where a quotient P/π keeps all edges (so m parallel edges stand for A_{ij}^m), and those with a loop
vanish. This is used for connected P. A map of P ⊔ Q that is injective on both identifies a partial
matching of their vertices:

    inj_{P⊔Q} = inj_P · inj_Q − Σ_{non-empty matchings} inj of P and Q glued along the matching,

one component after the other. (Written out as a polynomial in connected sums, its terms cancel: on 12
vertices six disjoint edges lose four digits.)

References:
    L. Lovász, *Large networks and graph limits*, 2012, ch. 5.
"""

import functools
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from symjax_learn.algebra.homomorphisms import Elimination
from symjax_learn.algebra.motifs import MAX_EDGES

# Edges of a pattern: sorted pairs, repeated where parallel; of vertices 0, 1, …
Edges = tuple[tuple[int, int], ...]
# A pattern: the places of its connected components in their list, ascending.
Parts = tuple[int, ...]


def tables(max_edges: int = MAX_EDGES) -> dict[str, list[Any]]:
    """All that ``motif_classes`` reads.

    Args:
        max_edges: of the largest pattern; at most 6, because ``Elimination`` evaluates those.

    Returns:
        ``patterns``, by components, edges and vertices; a place is one in this list. Each has its edges
        and |Aut|. A connected one has ``rooted``, the value in which ``Elimination`` finds its hom, and
        ``terms`` (Q, c) of inj = Σ c·hom_Q. One of several components has ``first`` and ``rest``, and
        ``terms`` (Q, c) of inj = inj_first·inj_rest − Σ c·inj_Q.
        ``operations``: of the ``Elimination``; those of smaller graphs come first.

    Cost: about a second for six edges.

    >>> from symjax_learn.algebra.motif_tables import tables
    >>> tables(2)["patterns"][-1]  # two edges, glued to a double edge in 2 ways and to a path in 4
    {'edges': ((0, 1), (2, 3)), 'automorphisms': 8, 'first': 1, 'rest': 1, 'terms': [(2, 2), (3, 4)]}
    """
    connected = connected_patterns(max_edges)
    number = {edges: i for i, edges in enumerate(connected)}
    elimination = Elimination()
    patterns = _patterns(connected, max_edges)
    place = {parts: i for i, parts in enumerate(patterns)}

    def terms(combination: Counter[Parts]) -> list[tuple[int, int]]:
        return sorted((place[parts], c) for parts, c in combination.items() if c)

    records: list[dict[str, Any]] = []
    for parts in patterns:
        components = [connected[p] for p in parts]
        record: dict[str, Any] = {
            "edges": disjoint_union(components),
            "automorphisms": _automorphisms(components),
        }
        if len(parts) == 1:
            record["rooted"] = elimination.add(components[0])
            record["terms"] = terms(_moebius(components[0], number))
        elif parts:
            record["first"], record["rest"] = place[parts[:1]], place[parts[1:]]
            record["terms"] = terms(_glued(components[0], disjoint_union(components[1:]), number))
        records.append(record)
    return {"patterns": records, "operations": elimination.operations}


def connected_patterns(max_edges: int) -> list[Edges]:
    """Connected patterns with 1..max_edges edges, by edges, then vertices, then canonical form.

    Each comes from one with an edge less, by a new edge or a new leaf.
    """
    layer: set[Edges] = {((0, 1),)} if max_edges else set()
    found = sorted(layer)
    for _ in range(max_edges - 1):
        larger = set()
        for edges in layer:
            n = num_vertices(edges)
            new = [*itertools.combinations(range(n), 2), *((u, n) for u in range(n))]
            larger |= {canonical_form((*edges, edge))[0] for edge in new}
        layer = larger
        found += sorted(layer, key=lambda edges: (num_vertices(edges), edges))
    return found


def num_vertices(edges: Edges) -> int:
    """The number of vertices 0, 1, … of a pattern."""
    return 1 + max((v for edge in edges for v in edge), default=-1)


def canonical_form(edges: Iterable[tuple[int, int]]) -> tuple[Edges, int]:
    """The least relabelling of a connected pattern, and |Aut|.

    The least of those that sort the vertices by degree, the degrees of their neighbours, and so on.
    """
    listed = list(edges)
    known: dict[int, Any] = dict.fromkeys((v for edge in listed for v in edge), 0)
    for _ in range(3):
        around: dict[int, list[Any]] = {v: [] for v in known}
        for u, v in listed:
            around[u].append(known[v])
            around[v].append(known[u])
        seen = {v: (known[v], sorted(around[v])) for v in known}
        ranks = sorted(seen.values(), reverse=True)
        known = {v: ranks.index(seen[v]) for v in known}
    order = sorted(known, key=lambda v: known[v])
    label = {v: i for i, v in enumerate(order)}
    cells = tuple(len(list(cell)) for _, cell in itertools.groupby(order, key=lambda v: known[v]))
    return _least_relabelling(_relabelled(listed, label), cells)


@functools.cache
def _least_relabelling(edges: Edges, cells: tuple[int, ...]) -> tuple[Edges, int]:
    """The least relabelling within cells of consecutive vertices, and how many attain it: |Aut|."""
    starts = [0, *itertools.accumulate(cells)]
    choices = [itertools.permutations(range(a, b)) for a, b in itertools.pairwise(starts)]
    images = Counter(
        _relabelled(edges, list(itertools.chain(*choice))) for choice in itertools.product(*choices)
    )
    least = min(images)
    return least, images[least]


def _relabelled(edges: Iterable[tuple[int, int]], label: Any) -> Edges:
    return tuple(sorted((min(label[u], label[v]), max(label[u], label[v])) for u, v in edges))


def _automorphisms(components: list[Edges]) -> int:
    """|Aut| of a disjoint union: automorphisms of the components, and exchanges of equal ones."""
    exchanges = math.prod(math.factorial(count) for count in Counter(components).values())
    return exchanges * math.prod(canonical_form(edges)[1] for edges in components)


def _patterns(connected: list[Edges], max_edges: int) -> list[Parts]:
    """All patterns with at most ``max_edges`` edges: by components, edges and vertices."""
    found: list[Parts] = [()]
    layer: list[Parts] = [()]
    while layer:
        layer = [
            (*parts, p)
            for parts in layer
            for p in range(parts[-1] if parts else 0, len(connected))
            if sum(len(connected[q]) for q in (*parts, p)) <= max_edges
        ]
        found += sorted(
            layer,
            key=lambda parts: (
                sum(len(connected[p]) for p in parts),
                sum(num_vertices(connected[p]) for p in parts),
                parts,
            ),
        )
    return found


def _moebius(edges: Edges, number: dict[Edges, int]) -> Counter[Parts]:
    """Σ_π μ(π) P/π over the partitions of a connected pattern that make no loop."""
    terms: Counter[Parts] = Counter()
    for labels in _loopless_partitions(num_vertices(edges), edges):
        blocks = Counter(labels).values()
        coefficient = math.prod((-1) ** (b - 1) * math.factorial(b - 1) for b in blocks)
        terms[_parts(_relabelled(edges, labels), number)] += coefficient
    return terms


def _loopless_partitions(n: int, edges: Edges) -> Iterator[tuple[int, ...]]:
    """Partitions of 0..n−1 as labels of blocks, no edge inside a block."""
    before = [{u for u, w in edges if w == v} | {w for w, u in edges if u == v} for v in range(n)]

    def extend(labels: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        v = len(labels)
        if v == n:
            yield labels
            return
        taken = {labels[u] for u in before[v] if u < v}
        for label in range(max(labels, default=-1) + 2):
            if label not in taken:
                yield from extend((*labels, label))

    return extend(())


def _glued(first: Edges, rest: Edges, number: dict[Edges, int]) -> Counter[Parts]:
    """The patterns made by identifying vertices of one with vertices of the other, at least one pair."""
    n, m = num_vertices(first), num_vertices(rest)
    glued: Counter[Parts] = Counter()
    for size in range(1, min(n, m) + 1):
        for chosen in itertools.combinations(range(n), size):
            for images in itertools.permutations(range(m), size):
                label = {v: m + v for v in range(n)} | dict(zip(chosen, images, strict=True))
                glued[_parts((*_relabelled(first, label), *rest), number)] += 1
    return glued


def _parts(edges: Edges, number: dict[Edges, int]) -> Parts:
    return tuple(sorted(number[canonical_form(part)[0]] for part in _components(edges)))


def disjoint_union(components: Iterable[Edges]) -> Edges:
    """One pattern after the other, the vertices numbered through."""
    union: list[tuple[int, int]] = []
    start = 0
    for edges in components:
        union += [(u + start, v + start) for u, v in edges]
        start += num_vertices(edges)
    return tuple(union)


def _components(edges: Edges) -> list[list[tuple[int, int]]]:
    """The edges of each connected component."""
    found: list[tuple[set[int], list[tuple[int, int]]]] = []
    for edge in edges:
        touched = [one for one in found if one[0] & set(edge)]
        vertices = set(edge).union(*(one[0] for one in touched))
        listed = [edge, *itertools.chain(*(one[1] for one in touched))]
        found = [one for one in found if one not in touched] + [(vertices, listed)]
    return [listed for _, listed in found]


def written(content: dict[str, Any]) -> str:
    """JSON with one record on each line."""
    entries = [
        f'"{name}": [\n'
        + ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
        + "\n]"
        for name, records in content.items()
    ]
    return "{\n" + ",\n".join(entries) + "\n}\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(written(tables()))
