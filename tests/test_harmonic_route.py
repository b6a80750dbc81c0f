"""The route ``harmonic`` against exact moments, general routes, closed forms; and what it refuses."""

import collections
import functools
import itertools
import math
from fractions import Fraction

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import eval_gegenbauer

import symjax_learn as sj
from symjax_learn.algebra.multisets import multisets
from symjax_learn.algebra.symmetric_harmonics import block_harmonics, in_power_sums
from symjax_learn.invariants.routes import harmonic
from tests.registry import EXACT, X64

exact_only = pytest.mark.skipif(not X64, reason="set-up work is the same float64 in every session")


def degree_bound(d, degree):
    return degree * (degree + d - 2)


def sphere_basis(group, degree, route="harmonic"):
    d = group.degree
    return sj.invariant_basis(
        sj.Sphere(d - 1), group, max_eigenvalue=degree_bound(d, degree), route=route
    )


def kernels(basis, x, y):
    """Σ_j φ_j(x) φ_j(y) of each eigenvalue: independent of the choice of orthonormal functions."""
    left, right = np.asarray(basis(x), float), np.asarray(basis(y), float)
    eigenvalues = np.asarray(basis.eigenvalues, float)
    starts = np.flatnonzero(np.diff(eigenvalues, prepend=-1.0) > 0.5)
    return np.add.reduceat(left[:, None] * right[None], starts, axis=2)


def partitions(degree, signed):
    """Descending, of even parts where signs change."""
    step = 2 if signed else 1

    def below(left, largest):
        if left == 0:
            yield ()
        for part in range(min(left, largest), 0, -1):
            if part % step == 0:
                yield from ((part, *rest) for rest in below(left - part, part))

    return list(below(degree, degree))


def joint_types(left, right):
    """Multisets of pairs (a, b) ≠ 0 of even a + b with Σa = left and Σb = right."""

    def below(left, right, largest):
        if (left, right) == (0, 0):
            yield ()
        for a in range(left, -1, -1):
            for b in range(right, -1, -1):
                if (a, b) != (0, 0) and (a + b) % 2 == 0 and (a, b) <= largest:
                    yield from (((a, b), *rest) for rest in below(left - a, right - b, (a, b)))

    return below(left, right, (left, right))


def double_factorial(n):
    return math.prod(range(n, 0, -2))


def moments(d, left, right, signed):
    """E m_ν m_ρ on S^{d−1} for partitions of two degrees, as integers over d(d + 2)…

    A pair of monomials x^a x^b has the moment Π(a_i + b_i − 1)!! over d(d + 2)…(d + |a| + |b| − 2), and
    the pairs are counted by how their exponents meet at the coordinates.
    """
    rows = {part: i for i, part in enumerate(partitions(left, signed))}
    columns = {part: i for i, part in enumerate(partitions(right, signed))}
    table = np.zeros((len(rows), len(columns)), object)
    for pairs in joint_types(left, right):
        nu = tuple(sorted((a for a, _ in pairs if a), reverse=True))
        rho = tuple(sorted((b for _, b in pairs if b), reverse=True))
        if nu not in rows or rho not in columns:
            continue
        places = math.perm(d, len(pairs))
        for times in collections.Counter(pairs).values():
            places //= math.factorial(times)
        table[rows[nu], columns[rho]] += places * math.prod(
            double_factorial(a + b - 1) for a, b in pairs
        )
    return table


@exact_only
@pytest.mark.parametrize("signed", [False, True])
def test_one_hundred_coordinates_are_orthonormal_by_exact_moments(signed):
    """All pairs of degrees up to 10 at d = 100, in integers of hundreds of bits."""
    d, top, unit = 100, 10, 2**200
    powers = range(2, top + 1, 2) if signed else range(1, top + 1)
    index = multisets(list(powers), top, d)
    counts = np.asarray(index.counts)
    found = block_harmonics(counts, powers, d)
    polynomials = {}  # of each degree the coefficients of m_ν, times 2^200, as ``partitions`` has them
    for degree, rows, matrix in zip(found.degrees, found.places, found.coefficients, strict=True):
        order = partitions(degree, signed)
        integers = np.zeros((matrix.shape[1], len(order)), object)
        for row, values in zip(rows, matrix, strict=True):
            parts = np.repeat(powers, counts[row])[::-1]
            times = math.prod(math.factorial(c) for c in counts[row].tolist())
            norm = math.perm(d, len(parts)) // times
            norm *= math.prod(math.factorial(a) for a in parts.tolist())
            root = math.isqrt(unit**4 // norm)  # 2^400/√norm
            for i, value in enumerate(values.tolist()):
                exact = Fraction(value)
                place = order.index(tuple(parts.tolist()))
                integers[i, place] = exact.numerator * root // (exact.denominator * unit)
        polynomials[degree] = integers
    for left, right in itertools.product(polynomials, repeat=2):
        if (left + right) % 2 or right < left:
            continue
        gram = polynomials[left] @ moments(d, left, right, signed) @ polynomials[right].T
        # ‖p‖² = d(d + 2)…(d + 2k − 2) makes norm 1, beside the d(d + 2)… of the moments.
        rise = {k: math.prod(d + 2 * i for i in range(k)) for k in (left, right, (left + right) // 2)}
        scale = math.sqrt(rise[left] * rise[right]) / rise[(left + right) // 2]
        values = (gram // unit).astype(float) / unit * scale
        expected = np.eye(len(values)) if left == right else np.zeros_like(values)
        np.testing.assert_allclose(values, expected, atol=1e-11)


def symmetric_polynomials(x, degree, signed):
    """All m_ν(x) of a degree by one pass over the coordinates, NumPy in extended precision."""
    totals = {(): np.ones(len(x), np.longdouble)}
    for column in np.asarray(x, np.longdouble).T:
        grown = dict(totals)
        for parts, value in totals.items():
            for power in range(1, degree - sum(parts) + 1):
                if not (signed and power % 2):
                    longer = tuple(sorted((*parts, power), reverse=True))
                    grown[longer] = grown.get(longer, 0) + value * column**power
        totals = grown
    return np.stack([totals[parts] for parts in partitions(degree, signed)], axis=1)


@exact_only
@pytest.mark.parametrize(("d", "top", "signed"), [(100, 10, False), (100, 10, True), (30, 4, False)])
def test_hermite_sums_evaluate_the_same_polynomials(d, top, signed):
    """Σ_ν C_ν m_ν(√d x)/√(N_ν Πν!), term by term, against the values by sums of Hermite polynomials."""
    group = sj.hyperoctahedral_group(d) if signed else sj.symmetric_group(d)
    basis = sphere_basis(group, top)
    powers = range(2, top + 1, 2) if signed else range(1, top + 1)
    index = multisets(list(powers), top, d)
    counts = np.asarray(index.counts)
    found = block_harmonics(counts, powers, d)
    x = basis.space.sample(jax.random.key(0), (5,))
    features = np.asarray(basis(x))
    for degree, rows, matrix in zip(found.degrees, found.places, found.coefficients, strict=True):
        order = partitions(degree, signed)
        values = symmetric_polynomials(math.sqrt(d) * np.asarray(x), degree, signed)
        expected = np.zeros((len(x), matrix.shape[1]), np.longdouble)
        for row, weights in zip(rows, matrix, strict=True):
            parts = tuple(np.repeat(powers, counts[row])[::-1].tolist())
            times = math.prod(math.factorial(c) for c in counts[row].tolist())
            norm = math.perm(d, len(parts)) // times * math.prod(map(math.factorial, parts))
            expected += values[:, order.index(parts)][:, None] * weights / np.sqrt(np.longdouble(norm))
        expected *= math.sqrt(math.prod(1 + 2 * i / d for i in range(degree)))
        ours = features[:, np.isclose(basis.eigenvalues, degree_bound(d, degree))]
        np.testing.assert_allclose(ours, expected.astype(float), atol=1e-10)


PAIRS = {
    "S_5": (lambda: sj.symmetric_group(5), 5),
    "S_9 by sums": (lambda: sj.symmetric_group(9), 3),
    "B_3": (lambda: sj.hyperoctahedral_group(3), 10),
    "S_2 x S_1 x S_2": (lambda: sj.young_group(2, 1, 2), 5),
    "S_3 x {±1}²": (lambda: sj.direct_product(sj.symmetric_group(3), sj.sign_group(2)), 5),
    "B_2 x S_2 x B_2": (
        lambda: sj.direct_product(
            sj.hyperoctahedral_group(2), sj.symmetric_group(2), sj.hyperoctahedral_group(2)
        ),
        4,
    ),
}


@pytest.mark.parametrize("name", PAIRS if X64 else ["S_5", "S_2 x S_1 x S_2"])
def test_the_subspaces_of_the_general_route(name):
    make, degree = PAIRS[name]
    ours, oracle = (sphere_basis(make(), degree, route) for route in ("harmonic", "generators"))
    assert (ours.route, ours.num_functions) == ("harmonic", oracle.num_functions)
    np.testing.assert_allclose(ours.eigenvalues, oracle.eigenvalues, rtol=1e-6)
    x = ours.space.sample(jax.random.key(0), (8,))
    size = 10.0 * ours.num_functions
    np.testing.assert_allclose(
        kernels(ours, x, x[:3]), kernels(oracle, x, x[:3]), atol=1e-11 if X64 else size * EXACT
    )


@pytest.mark.parametrize(
    ("space", "group", "top"),
    [
        (sj.Ball(4), sj.young_group(2, 2), 40),
        (sj.Ball(3, 2.0), sj.symmetric_group(3), 20),
    ],
)
def test_balls_have_the_subspaces_of_the_general_route(space, group, top):
    ours, oracle = (
        sj.invariant_basis(space, group, max_eigenvalue=top, route=route)
        for route in ("harmonic", "generators")
    )
    np.testing.assert_allclose(ours.eigenvalues, oracle.eigenvalues, rtol=1e-6)
    x = space.sample(jax.random.key(0), (8,)).at[0].set(0)
    values, expected = (np.asarray(basis(x), float) for basis in (ours, oracle))
    np.testing.assert_allclose(values @ values.T, expected @ expected.T, atol=1e3 * EXACT)
    assert bool(jnp.isfinite(jax.vmap(jax.jacfwd(ours))(x)).all())


def test_forty_signs_have_the_averaged_addition_theorem():
    """K(x, y) = mean over signs of Σ_k c_k C_k(Σ_i ±x_i y_i), by moments of sums of signs."""
    d, top = 40, 6
    basis = sphere_basis(sj.sign_group(d), top)
    assert basis.num_functions == math.comb(d + 2, 3)
    x = np.asarray(basis.space.sample(jax.random.key(0), (4,)), float)
    u = x[:, None] * x[None]
    s2, s4, s6 = ((u**power).sum(axis=-1) for power in (2, 4, 6))
    means = [np.ones_like(s2), s2, 3 * s2**2 - 2 * s4, 15 * s2**3 - 30 * s2 * s4 + 16 * s6]
    found = kernels(basis, jnp.asarray(x), jnp.asarray(x))
    for place, degree in enumerate((0, 2, 4, 6)):
        alpha, nodes = (d - 2) / 2, np.linspace(0, 1, degree // 2 + 1)
        zonal = eval_gegenbauer(degree, alpha, np.sqrt(nodes)) / eval_gegenbauer(degree, alpha, 1.0)
        coefficients = np.linalg.solve(np.vander(nodes, increasing=True), zonal)
        multiplicity = basis.space.levels(degree_bound(d, degree))[degree].multiplicity
        expected = multiplicity * sum(c * mean for c, mean in zip(coefficients, means, strict=False))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            found[..., place] / scale, expected / scale, atol=1e-11 if X64 else 1e-4
        )


@functools.cache
def dense_harmonics(parts, degree):
    """Null spaces of Δ among all products of monomial symmetric polynomials of the blocks, at once."""

    def products(total):
        for split in itertools.product(range(total + 1), repeat=len(parts)):
            if sum(split) == total:
                yield from itertools.product(*(partitions(k, False) for k in split))

    upper, lower = list(products(degree)), list(products(degree - 2)) if degree >= 2 else []
    place = {nus: i for i, nus in enumerate(lower)}
    logs = [
        sum(
            math.log(math.perm(n, len(nu)))
            + sum(math.lgamma(a + 1) for a in nu)
            - sum(math.lgamma(c + 1) for c in collections.Counter(nu).values())
            for n, nu in zip(parts, nus, strict=True)
        )
        for nus in (*upper, *lower)
    ]
    norms = np.exp(np.asarray(logs) / 2)
    matrix = np.zeros((len(lower), len(upper)))
    for column, nus in enumerate(upper):
        for b, nu in enumerate(nus):
            for part in set(nu):
                if part >= 2:
                    rest = list(nu)
                    rest.remove(part)
                    rho = tuple(sorted((*rest, *([part - 2] if part > 2 else [])), reverse=True))
                    times = rho.count(part - 2) if part > 2 else parts[b] - len(rho)
                    row = place[(*nus[:b], rho, *nus[b + 1 :])]
                    matrix[row, column] += times * part * (part - 1) / norms[column]
    matrix *= norms[len(upper) :, None]
    _, singular, right = np.linalg.svd(matrix)
    null = right[len(lower) :]
    assert len(lower) == 0 or singular.min() > 1
    return upper, norms[: len(upper)], null


@exact_only
@pytest.mark.parametrize(("parts", "top"), [((50, 30, 20), 5), ((60, 40), 6)])
def test_blocks_of_one_hundred_coordinates_have_the_dense_null_spaces(parts, top):
    """Radial factors and blocks of each kind of evaluation, against one null space over all blocks."""
    basis, d = sphere_basis(sj.young_group(*parts), top), sum(parts)
    x = np.asarray(basis.space.sample(jax.random.key(1), (3,)))
    found = kernels(basis, jnp.asarray(x), jnp.asarray(x))
    ends = np.cumsum(parts)[:-1]
    blocks = np.split(math.sqrt(d) * x, ends, axis=1)
    for degree in range(top + 1):
        tables = [
            {
                nu: column
                for k in range(degree + 1)
                for nu, column in zip(
                    partitions(k, False), symmetric_polynomials(block, k, False).T, strict=True
                )
            }
            for block in blocks
        ]
        upper, norms, null = dense_harmonics(parts, degree)
        values = np.stack(
            [math.prod(table[nu] for table, nu in zip(tables, nus, strict=True)) for nus in upper]
        )
        features = (null.astype(np.longdouble) @ (values / norms[:, None])).astype(float)
        features *= math.sqrt(math.prod(1 + 2 * i / d for i in range(degree)))
        scale = np.abs(features.T @ features).max()
        np.testing.assert_allclose(found[..., degree] / scale, features.T @ features / scale, atol=1e-9)


@exact_only
def test_sums_and_the_pass_over_the_coordinates_agree(monkeypatch):
    group = sj.young_group(24, 16)
    by_sums = sphere_basis(group, 6)
    monkeypatch.setattr(harmonic, "_MAX_COEFFICIENT", 0.0)
    by_pass = sphere_basis(group, 6)
    x = by_sums.space.sample(jax.random.key(0), (5,))
    assert jax.tree.structure(by_sums.functions) != jax.tree.structure(by_pass.functions)
    np.testing.assert_allclose(by_sums(x), by_pass(x), atol=1e-11)


@exact_only
def test_power_sums_of_a_partition_by_hand():
    """e_{11} = Σ_{i<j} y_i y_j/√N, N = n(n−1)/2: (n S_1² − Σ_j y_j²)/2 with Σ y² = n v."""
    n = 10
    index = multisets([1, 2], 2, n)
    degree_two = in_power_sums(index, [1, 2], n)[2]
    counts = np.asarray(index.counts)[1:]
    order = [tuple(row) for row in counts.tolist() if row[0] + 2 * row[1] == 2]
    row, columns = degree_two[order.index((2, 0))], [order.index((2, 0)), order.index((0, 1))]
    norm = math.sqrt(math.comb(n, 2))
    np.testing.assert_allclose(row[columns], np.asarray([n / 2, -n / 2]) / norm, atol=1e-14)
    np.testing.assert_allclose(degree_two[order.index((0, 1))], 0, atol=1e-14)  # Σ_j h_2(y_j) = 0


def test_one_thousand_coordinates_and_its_precision():
    """|G| = 1000!: float32 against float64, invariance, homogeneity, gradients."""
    d, degree = 1000, 10
    space = sj.Sphere(d - 1)
    basis = sj.invariant_basis(space, sj.symmetric_group(d), max_eigenvalue=degree_bound(d, degree))
    assert (basis.route, basis.certificate.count, basis.certificate.source) == ("harmonic", 72, "molien")
    assert basis.certificate.residual < 1e-13
    x = space.sample(jax.random.key(0), (20,)).astype(jnp.float32)
    x = x.at[0].set(0).at[0, 0].set(1).at[1, : d // 2].set(0)
    features = np.asarray(basis(x), float)
    # An axis is far from typical: K(x, x) = |φ(x)|² is large there.
    scale = np.linalg.norm(features, axis=1, keepdims=True)

    def close(other, atol):
        np.testing.assert_allclose(np.asarray(other, float) / scale, features / scale, atol=atol)

    close(basis(jax.vmap(jax.random.permutation)(jax.random.split(jax.random.key(2), 20), x)), 1e-4)
    degrees = np.repeat(range(11), [1, 1, 1, 2, 3, 4, 6, 8, 11, 15, 20])[None]
    close(np.asarray(basis(2 * x), float) / 2.0**degrees, 1e-5)
    slopes = jax.vmap(jax.grad(lambda point: basis(point).sum()))(x[:3])
    assert bool(jnp.isfinite(slopes).all())
    if X64:
        close(basis(x.astype(float)), 1e-4)


def test_models_learn_are_stored_and_compile_once(tmp_path):
    group = sj.direct_product(sj.symmetric_group(30), sj.sign_group(2))
    space = sj.Sphere(31)
    basis = sj.invariant_basis(space, group, max_functions=40)
    assert basis.route == "harmonic"
    assert basis.num_functions <= 40

    def target(x):
        return 5 * (x[:, :30] ** 3).sum(axis=1) + x[:, 31] ** 4 + x[:, 30] ** 2

    basis = sj.invariant_basis(space, group, max_eigenvalue=degree_bound(32, 4))
    x, new = space.sample(jax.random.key(0), (400,)), space.sample(jax.random.key(1), (20,))
    model = sj.fit_ridge(basis, x, target(x))
    np.testing.assert_allclose(model(new), target(new), atol=1e-9 if X64 else 1e-3)
    worst = sj.invariance_discrepancy(jax.random.key(2), model, basis.action, new)
    assert worst < (1e-11 if X64 else 1e-4)
    sj.save(tmp_path / "model.npz", model)
    np.testing.assert_array_equal(sj.load(tmp_path / "model.npz")(new), model(new))
    chex.clear_trace_counter()
    compiled = jax.jit(chex.assert_max_traces(lambda model, x: model(x), n=1))
    compiled(model, new)
    np.testing.assert_allclose(compiled(model, -new), model(-new), atol=100 * EXACT)


def test_auto_keeps_small_spheres_for_the_general_routes():
    assert sphere_basis(sj.symmetric_group(4), 6, "auto").route == "generators"
    basis = sphere_basis(sj.hyperoctahedral_group(20), 8, "auto")
    assert basis.route == "harmonic"
    assert "few polynomials are harmonic" in basis.reason


@pytest.mark.usefixtures("without_signature_checks")
def test_bad_input():
    with pytest.raises(ValueError, match=r"route: 'harmonic' needs a sphere or a ball .*'generators'"):
        sphere_basis(sj.cyclic_group(4), 2)
    with pytest.raises(ValueError, match=r"route: 'harmonic' needs a sphere or a ball .*use 'orbits'"):
        sj.invariant_basis(sj.Torus(3), sj.symmetric_group(3), max_eigenvalue=2, route="harmonic")
    action = sj.action(sj.Sphere(2), sj.symmetric_group(3), act=lambda g, x: x[g])
    with pytest.raises(ValueError, match=r"route: 'harmonic' needs"):
        sj.invariant_basis(sj.Sphere(2), action, max_eigenvalue=2, route="harmonic")
    with pytest.raises(ValueError, match=r"there are [\d,]+ invariant functions and .*1,000,000; lower"):
        sphere_basis(sj.sign_group(100), 10)
    with pytest.raises(
        ValueError, match=r"90 permuted coordinates have 5,604 symmetric polynomials .* 4,000; lower it"
    ):
        sphere_basis(sj.symmetric_group(90), 30)
