"""Symmetry from random elements and from data: generators, risk, discovery, and where it must fail.

How many random elements stand for a group, against the bound of coin throws; the risk of the fit on what
they leave fixed, against σ² dim H_G/n; how often a planted subgroup is found from data, against n and
against the number of random elements; level and power of the test of invariance; and torsion energies of
which one has a mirror symmetry exactly, one nearly, and two not at all.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

import symjax_learn as sj
from experiments.storage import Outcome, Progress, Store, stack, sweep


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run.

    Attributes:
        seeds: of everything that is random but the simulations of the tests.
        groups: for which random generators are drawn.
        num_rounds: T of these, at most.
        risk_groups: of which the risk is measured, on T⁴.
        risk_sizes: numbers of samples of the fits on the invariants.
        num_risk_seeds: the first so many seeds.
        planted: subgroups of S_4 on T⁴.
        sizes: numbers of samples from which these are looked for.
        fractions: planted Young subgroups of S_5 on T⁵, by their parts.
        num_candidates: T, random elements from which these are looked for.
        candidate_samples: n there.
        num_candidate_seeds: the first so many seeds.
        noise: σ of all targets, whose own variance is 1.
        nulls: null distributions of the tests.
        noises: of these.
        departures: fractions of the variance that break the symmetry that is tested.
        test_samples: n of the tests.
        num_simulations: of each test.
        residues: of which torsion energies are taken.
        torsion_sizes: numbers of grid points, drawn with replacement.
        num_torsion_seeds: the first so many seeds.
        torsion_tolerance: of the discovery of their symmetry.
    """

    seeds: tuple[int, ...] = tuple(range(1, 101))
    groups: tuple[str, ...] = ("S_10", "C_12", "B_4", "SO(3)", "O(3) on S^3", "S_3", "S_4", "S_6", "S_8")
    num_rounds: int = 14
    risk_groups: tuple[str, ...] = ("S_2 x S_2", "D_4", "S_4")
    risk_sizes: tuple[int, ...] = (100, 200, 400, 800)
    num_risk_seeds: int = 20
    planted: tuple[str, ...] = ("S_2 x S_2", "D_4")
    sizes: tuple[int, ...] = (60, 120, 240, 480)
    fractions: tuple[str, ...] = ("4,1", "3,2", "2,2,1")
    num_candidates: tuple[int, ...] = (4, 16, 64)
    candidate_samples: int = 600
    num_candidate_seeds: int = 20
    noise: float = 0.5
    nulls: tuple[str, ...] = ("randomization", "bootstrap")
    noises: tuple[str, ...] = ("Gaussian", "heteroscedastic", "heavy tails")
    departures: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2)
    test_samples: int = 100
    num_simulations: int = 400
    residues: tuple[str, ...] = ("aminoisobutyric acid", "glycine", "alanine", "proline")
    torsion_sizes: tuple[int, ...] = (200, 800)
    num_torsion_seeds: int = 10
    torsion_tolerance: float = 0.001


CONFIGS = {
    "smoke": Config(
        seeds=(1, 2, 3),
        groups=("S_3",),
        num_rounds=8,
        risk_groups=("S_4",),
        risk_sizes=(100,),
        num_risk_seeds=2,
        planted=("S_2 x S_2",),
        sizes=(240,),
        fractions=("3,2",),
        num_candidates=(32,),
        candidate_samples=200,
        num_candidate_seeds=1,
        nulls=("randomization",),
        noises=("Gaussian",),
        departures=(0.2,),
        test_samples=60,
        num_simulations=10,
        residues=("glycine",),
        torsion_sizes=(100,),
        num_torsion_seeds=1,
    ),
    "default": Config(),
    "published": Config(
        sizes=(60, 120, 240, 480, 960),
        planted=("S_2 x S_2", "D_4", "C_4", "V_4"),
        num_risk_seeds=100,
        num_candidate_seeds=100,
        num_torsion_seeds=100,
        departures=(0.0, 0.02, 0.05, 0.1, 0.2, 0.4),
        num_simulations=2000,
    ),
}

_PLANTED = {
    "S_2 x S_2": lambda: sj.young_group(2, 2),
    "V_4": lambda: sj.permutation_group([[1, 0, 3, 2], [2, 3, 0, 1]]),
    "C_4": lambda: sj.cyclic_group(4),
    "D_4": lambda: sj.dihedral_group(4),
}
# Of S_4 on T⁴, and S_5 on T⁵.
_BOUNDS = {4: 3, 5: 2}
_RISK_GROUPS = {**_PLANTED, "S_4": lambda: sj.symmetric_group(4)}
_TORSION_BOUND = 64


def _axial() -> sj.AbstractGroup:
    """O(3) on R⁴, the last axis fixed."""
    inner = sj.orthogonal_group(3)

    def padded(matrices, corner):
        wide = jnp.zeros((*matrices.shape[:-2], 4, 4)).at[..., :3, :3].set(matrices)
        return wide.at[..., 3, 3].set(corner)

    def sample(key):
        return padded(inner.sample(key), 1.0)

    return sj.lie_group(
        np.asarray(padded(inner.lie_algebra, 0.0)),
        np.asarray(padded(inner.generators, 1.0)),
        sample=sample,
    )


# Name -> space, group and truncation.
_CHAINS = {
    "S_10": lambda: (sj.Torus(10), sj.symmetric_group(10), 2),
    "C_12": lambda: (sj.Torus(12), sj.cyclic_group(12), 2),
    "B_4": lambda: (sj.Torus(4), sj.hyperoctahedral_group(4), 4),
    "SO(3)": lambda: (sj.Sphere(2), sj.special_orthogonal_group(3), 30),
    "O(3) on S^3": lambda: (sj.Sphere(3), _axial(), 15),
    **{
        f"S_{d}": functools.partial(lambda d: (sj.Torus(d), sj.symmetric_group(d), 2), d)
        for d in (3, 4, 5, 6, 8)
    },
}


def run(config: Config, *, store: Store | None = None, progress: Progress | None = None) -> Outcome:
    """All parts, one after the other.

    Returns:
        ``chain_names``, ``chain_orders`` (infinity for continuous ones), ``chain_exact`` (D, D_G) and
        ``chain_dimensions`` over (group, seed, round), ``chain_kept``, the elements that were kept, over
        (group, seed); ``risk`` over (group, size, seed) and ``risk_predicted`` over (group, size);
        ``found`` over (planted, size, seed) and ``order`` likewise; ``candidates_found`` over (fraction,
        candidates, seed), ``candidates_oracle`` over (fraction, candidates), how often elements drawn at
        random from G that are in H generate H, or have its invariants, and ``candidates_kappa``;
        ``rejected`` over (null, noise, departure); ``torsion_p`` over (residue, size, seed),
        ``torsion_order``, the order of what is found, and ``torsion_cost`` of the inversion likewise,
        ``torsion_largest`` and ``torsion_broken``: the largest |E(x) − E(−x)| and the fraction of the
        variance that it breaks.
    """
    seeds = config.seeds

    def cells(names, measure):
        return {name: functools.partial(measure, *arguments) for name, arguments in names.items()}

    chains = sweep(
        cells({f"chain,{i}": (name, config) for i, name in enumerate(config.groups)}, _chain),
        store=store,
        progress=progress,
    )
    risks = sweep(
        cells(
            {
                f"risk,{i},n={n}": (name, n, config)
                for i, name in enumerate(config.risk_groups)
                for n in config.risk_sizes
            },
            _risk,
        ),
        store=store,
        progress=progress,
    )
    found = sweep(
        cells(
            {
                f"found,{i},n={n}": (_PLANTED[name](), 4, n, None, config, seeds)
                for i, name in enumerate(config.planted)
                for n in config.sizes
            },
            _found,
        ),
        store=store,
        progress=progress,
    )
    few = seeds[: config.num_candidate_seeds]
    young = [sj.young_group(*map(int, parts.split(","))) for parts in config.fractions]
    drawn = sweep(
        cells(
            {
                f"candidates,{i},T={count}": (group, 5, config.candidate_samples, count, config, few)
                for i, group in enumerate(young)
                for count in config.num_candidates
            },
            _found,
        ),
        store=store,
        progress=progress,
    )
    tests = sweep(
        cells(
            {
                f"test,{null},{i},{departure}": (null, noise, departure, config)
                for null in config.nulls
                for i, noise in enumerate(config.noises)
                for departure in config.departures
            },
            _rejected,
        ),
        store=store,
        progress=progress,
    )
    torsions = sweep(
        cells(
            {
                f"torsion,{i},n={n}": (residue, n, config)
                for i, residue in enumerate(config.residues)
                for n in config.torsion_sizes
            },
            _torsion,
        ),
        store=store,
        progress=progress,
    )
    shapes = {
        "chain": (chains, (len(config.groups),)),
        "risk": (risks, (len(config.risk_groups), len(config.risk_sizes))),
        "found": (found, (len(config.planted), len(config.sizes))),
        "candidates": (drawn, (len(young), len(config.num_candidates))),
        "test": (tests, (len(config.nulls), len(config.noises), len(config.departures))),
        "torsion": (torsions, (len(config.residues), len(config.torsion_sizes))),
    }
    results = {
        f"{part}_{name}": array
        for part, (outcomes, shape) in shapes.items()
        for name, array in stack(outcomes, *shape).items()
        if not name.startswith("cell_")
    }
    return results | {
        "chain_names": np.asarray(config.groups),
        "risk_names": np.asarray(config.risk_groups),
        "risk_sizes": np.asarray(config.risk_sizes),
        "found_names": np.asarray(config.planted),
        "found_sizes": np.asarray(config.sizes),
        "candidates_names": np.asarray(config.fractions),
        "candidates_counts": np.asarray(config.num_candidates),
        "candidates_kappa": np.asarray([group.order / math.factorial(5) for group in young]),
        "test_noises": np.asarray(config.noises),
        "test_nulls": np.asarray(config.nulls),
        "test_departures": np.asarray(config.departures),
        "torsion_names": np.asarray(config.residues),
        "torsion_sizes": np.asarray(config.torsion_sizes),
    }


def _chain(name: str, config: Config) -> Outcome:
    """How fast random elements leave only the invariants fixed."""
    space, group, bound = _CHAINS[name]()
    exact = sj.invariant_basis(space, group, max_eigenvalue=bound)
    dimensions, kept = [], []
    for seed in config.seeds:
        found = sj.random_generators(
            jax.random.key(seed), space, group, max_eigenvalue=bound, num_rounds=config.num_rounds
        )
        dimensions.append(found.dimensions)
        kept.append(len(jax.tree.leaves(found.elements)[0]))
    return {
        "dimensions": np.asarray(dimensions),
        "kept": np.asarray(kept),
        "orders": np.asarray(float(group.order)),
        "exact": np.asarray([exact.num_ambient, exact.num_functions]),
    }


def _planted(basis: sj.InvariantBasis, n: int, noise: float, seed: int):
    """Coefficients of a random invariant function, and data of it."""
    keys = jax.random.split(jax.random.key(seed), 3)
    c = np.array(jax.random.normal(keys[0], (basis.num_functions,)))
    c[0] = 0.0
    c /= np.linalg.norm(c)
    x = basis.space.sample(keys[1], (n,))
    y = basis(x) @ jnp.asarray(c) + noise * jax.random.normal(keys[2], (n,))
    return c, x, y


def _risk(name: str, n: int, config: Config) -> Outcome:
    """Least squares on the functions that random elements leave fixed."""
    space, group = sj.Torus(4), _RISK_GROUPS[name]()
    drawn = sj.random_generators(
        jax.random.key(0), space, group, max_eigenvalue=_BOUNDS[4], num_rounds=3 * config.num_rounds
    )
    basis = sj.invariant_basis(
        space, sj.permutation_group(np.asarray(drawn.elements)), max_eigenvalue=_BOUNDS[4]
    )
    risks = []
    for seed in config.seeds[: config.num_risk_seeds]:
        c, x, y = _planted(basis, n, config.noise, seed)
        model = sj.fit_ridge(basis, x, y, penalty=0.0)
        risks.append(np.sum((np.asarray(model.coefficients) - c) ** 2))
    predicted = config.noise**2 * basis.num_functions / n
    return {"measured": np.asarray(risks), "predicted": np.asarray(predicted)}


def _found(
    planted: sj.AbstractGroup,
    degree: int,
    n: int,
    num_candidates: int | None,
    config: Config,
    seeds: tuple[int, ...],
) -> Outcome:
    """Whether the subgroup that is found has the invariants of the planted one."""
    space, group, bound = sj.Torus(degree), sj.symmetric_group(degree), _BOUNDS[degree]
    basis = sj.invariant_basis(space, planted, max_eigenvalue=bound)
    count, same, orders, oracle = basis.num_functions, [], [], []

    def has_its_invariants(generators) -> bool:
        """Whether elements fix as many functions, and none that the planted group does not."""
        if not len(generators):
            return False
        both = np.concatenate([np.asarray(generators), np.asarray(planted.generators)])
        return all(
            sj.invariant_count(space, sj.permutation_group(one), bound) == count
            for one in (np.asarray(generators), both)
        )

    for seed in seeds:
        _, x, y = _planted(basis, n, config.noise, seed)
        found = sj.discover_symmetry(
            jax.random.key(seed), space, group, x, y, max_eigenvalue=bound, num_candidates=num_candidates
        )
        same.append(has_its_invariants(found.group.generators))
        orders.append(found.group.order)
        drawn = np.asarray(group.sample(jax.random.key(10_000 + seed), (num_candidates or 0,)))
        oracle.append(has_its_invariants(drawn[planted.contains(drawn)] if len(drawn) else drawn))
    return {"same": np.asarray(same), "order": np.asarray(orders), "oracle": np.asarray(oracle)}


@functools.cache
def _disturbance(noise: str, sigma: float):
    """Noise of standard deviation σ, of one kind."""

    def disturbance(key, x):
        if noise == "heavy tails":
            return sigma * jax.random.t(key, 3.0, x.shape[:1]) / math.sqrt(3)
        scale = (1 + jnp.cos(x).prod(axis=1)) / math.sqrt(1.125) if noise == "heteroscedastic" else 1.0
        return sigma * scale * jax.random.normal(key, x.shape[:1])

    return disturbance


def _rejected(null: str, noise: str, departure: float, config: Config) -> Outcome:
    """Level and power for S_3 on T³, |k|² ≤ 3."""
    found = sj.rejection_rate(
        jax.random.key(0),
        sj.eigenbasis(sj.Torus(3), max_eigenvalue=3),
        sj.symmetric_group(3),
        num_samples=config.test_samples,
        departure=departure,
        noise=_disturbance(noise, config.noise),
        num_simulations=config.num_simulations,
        num_resamples=99,
        penalty=1e-3,
        null=null,  # pyright: ignore[reportArgumentType] (a string of the configuration)
    )
    return {"rejected": np.asarray(found.rate)}


def _torsion(residue: str, n: int, config: Config) -> Outcome:
    """The inversion (φ, ψ) ↦ (−φ, −ψ), tested and looked for among the signed permutations."""
    data = sj.datasets.torsion_map(residue)
    inversion = sj.signed_permutation_group([[0, 1]], [[-1, -1]])
    bound = _TORSION_BOUND * data.space.unit_eigenvalue
    basis = sj.eigenbasis(data.space, max_eigenvalue=bound)
    p_values, orders, costs = [], [], []
    for seed in config.seeds[: config.num_torsion_seeds]:
        keys = jax.random.split(jax.random.key(seed), 3)
        rows = np.asarray(jax.random.choice(keys[0], len(data.points), (n,)))
        x, y = data.points[rows], data.energies[rows]
        p_values.append(sj.invariance_test(keys[1], basis, x, y, inversion, num_resamples=199).p_value)
        found = sj.discover_symmetry(
            keys[2], data.space, inversion, x, y, max_eigenvalue=bound,
            tolerance=config.torsion_tolerance,
        )  # fmt: skip
        orders.append(found.group.order)
        costs.append(found.judgements.costs[0])
    grid = data.energies.reshape(24, 24)
    odd = (grid - np.roll(grid[::-1, ::-1], 1, axis=(0, 1))) / 2
    return {
        "p": np.asarray(p_values),
        "order": np.asarray(orders),
        "cost": np.asarray(costs),
        "largest": np.asarray(2 * np.abs(odd).max()),
        "broken": np.asarray(odd.var() / grid.var()),
    }


def coin_bound(num_rounds: int, needed: float) -> np.ndarray:
    """For T = 0 … num_rounds the probability of at least so many heads in T throws of a fair coin."""
    rounds = range(num_rounds + 1)
    fewer = [sum(math.comb(t, k) for k in range(min(t + 1, math.ceil(needed)))) / 2**t for t in rounds]
    return 1 - np.asarray(fewer)


def table(results: Outcome) -> str:
    """Success, risks over their predictions, rejections, and the negative control."""
    lines = ["random generators: rounds until 95 of 100 runs are done; elements kept; by the bound"]
    for i, name in enumerate(results["chain_names"]):
        ambient, kept = results["chain_exact"][i]
        done = (results["chain_dimensions"][i] == kept).mean(axis=0)
        first = int(np.argmax(done >= 0.95)) if (done >= 0.95).any() else -1
        needed = min(ambient - kept, np.log2(results["chain_orders"][i]))
        bound = coin_bound(200, math.floor(needed))
        lines.append(
            f"  {name:12} D = {ambient:4d}, D_G = {kept:3d}: {first:3d} rounds; "
            f"|S| = {results['chain_kept'][i].mean():.2f}; bound {int(np.argmax(bound >= 0.95)):3d}"
        )
    lines.append("risk of least squares on the invariants / (sigma^2 dim / n)")
    for i, name in enumerate(results["risk_names"]):
        ratios = results["risk_measured"][i].mean(axis=-1) / results["risk_predicted"][i]
        pairs = zip(results["risk_sizes"], ratios, strict=True)
        lines.append(f"  {name:12}" + "".join(f"  n={n}: {r:.2f}" for n, r in pairs))
    lines.append("planted subgroups of S_4 found, per cent of runs")
    for i, name in enumerate(results["found_names"]):
        pairs = zip(results["found_sizes"], results["found_same"][i].mean(axis=-1), strict=True)
        lines.append(f"  {name:12}" + "".join(f"  n={n}: {100 * s:.0f}" for n, s in pairs))
    lines.append("Young subgroups of S_5 found from T random elements, per cent (of an oracle)")
    for i, name in enumerate(results["candidates_names"]):
        found, oracle = (100 * results[f"candidates_{k}"][i].mean(axis=-1) for k in ("same", "oracle"))
        pairs = zip(results["candidates_counts"], found, oracle, strict=True)
        lines.append(
            f"  {name:8} kappa = {results['candidates_kappa'][i]:.3f}"
            + "".join(f"  T={t}: {a:.0f} ({b:.0f})" for t, a, b in pairs)
        )
    lines.append("rejections at level .05, per cent, by the fraction of variance that is broken")
    for i, null in enumerate(results["test_nulls"]):
        for j, noise in enumerate(results["test_noises"]):
            pairs = zip(results["test_departures"], results["test_rejected"][i, j], strict=True)
            lines.append(f"  {null:14}{noise:16}" + "".join(f"  {d:g}: {100 * r:.1f}" for d, r in pairs))
    lines.append("torsion energies: inversion rejected at .05; accepted by discovery, per cent")
    for i, name in enumerate(results["torsion_names"]):
        largest, broken = (results[f"torsion_{k}"][i, 0] for k in ("largest", "broken"))
        lines.append(f"  {name}: broken by {largest:.2f} kJ/mol, {broken:.2g} of the variance")
        for j, n in enumerate(results["torsion_sizes"]):
            rejected = (results["torsion_p"][i, j] <= 0.05).mean()
            accepted = (results["torsion_order"][i, j] == 2).mean()
            lines.append(f"    n={n}: {100 * rejected:.0f}; {100 * accepted:.0f}")
    return "\n".join(lines)
