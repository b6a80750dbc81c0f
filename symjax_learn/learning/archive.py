"""Models, bases and statistics on disk: one .npz of plain arrays and a JSON header. No pickle."""

import dataclasses
import hashlib
import inspect
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from symjax_learn._types import Precise
from symjax_learn.algebra.affine import AffineMap, AffineTorusGroup
from symjax_learn.algebra.groups import Transversals
from symjax_learn.algebra.homomorphisms import Operation
from symjax_learn.algebra.lie import (
    LieGroup,
    RotationSampler,
    SpecialUnitarySampler,
    TorusSampler,
    TranslationGroup,
    TranslationSampler,
)
from symjax_learn.algebra.matrices import MatrixGroup
from symjax_learn.algebra.motifs import Gluing, Motif, Motifs
from symjax_learn.algebra.multisets import Multisets, SizeTables
from symjax_learn.algebra.permutations import (
    AlternatingSampler,
    PermutationGroup,
    SignedPermutation,
    SignedPermutationGroup,
    SignedSampler,
    YoungSampler,
)
from symjax_learn.algebra.products import ProductGroup, WreathElement, WreathGroup
from symjax_learn.geometry.ball import Ball, BallHarmonics, BallKernels
from symjax_learn.geometry.box import Box, CosineKernels, CosineProducts
from symjax_learn.geometry.discrete import DiscreteSpace
from symjax_learn.geometry.frames import Block, FramePolynomials
from symjax_learn.geometry.gaussian import Gaussian, HermiteKernels, HermiteProducts
from symjax_learn.geometry.graphs import GraphCharacters, GraphKernels, Graphs
from symjax_learn.geometry.homogeneous import Grassmannian, Stiefel
from symjax_learn.geometry.hypercube import CharacterKernels, Characters, Hypercube
from symjax_learn.geometry.labels import LabelKernels, Labels, TabulatedFunctions
from symjax_learn.geometry.mesh import Mesh
from symjax_learn.geometry.product import FactorProducts, Product, ProductKernels
from symjax_learn.geometry.rotations import RotationGroup, RotationKernels, Step, WignerMatrices
from symjax_learn.geometry.sets import PointProducts, SetKernels, Sets
from symjax_learn.geometry.spaces import FunctionKernels
from symjax_learn.geometry.sphere import Sphere, SphericalHarmonics
from symjax_learn.geometry.torus import PlaneWaveKernels, PlaneWaveSums, Torus
from symjax_learn.geometry.zonal import ZonalKernels
from symjax_learn.invariants.action import Action
from symjax_learn.invariants.basis import Certificate, InvariantBasis, LinearCombinations
from symjax_learn.invariants.routes.coupled import CoupledFunctions
from symjax_learn.invariants.routes.motif import MotifFunctions
from symjax_learn.invariants.routes.multiset import MultisetFunctions
from symjax_learn.invariants.routes.orbit_sums import OrbitSums
from symjax_learn.invariants.symmetric_tables import (
    BlockProducts,
    PowerSumProducts,
    SymmetricPolynomials,
)
from symjax_learn.learning.convex import ConvexModel, ConvexReport
from symjax_learn.learning.model import KernelModel, Report, SpectralModel
from symjax_learn.learning.sums import Checkpoint, RidgeStatistics
from symjax_learn.optimization.losses import Huber, Logistic, Multinomial, Poisson, Quantile, Squared
from symjax_learn.optimization.solution import Criterion
from symjax_learn.optimization.statistics import Sums

FORMAT = "symjax_learn.model"
VERSION = 2

_CONSTRUCTORS: tuple[type, ...] = (
    Action,
    AffineMap,
    AffineTorusGroup,
    AlternatingSampler,
    Ball,
    BallHarmonics,
    BallKernels,
    Block,
    BlockProducts,
    Box,
    Certificate,
    CharacterKernels,
    Characters,
    Checkpoint,
    ConvexModel,
    ConvexReport,
    CosineKernels,
    CosineProducts,
    CoupledFunctions,
    Criterion,
    DiscreteSpace,
    FactorProducts,
    FramePolynomials,
    FunctionKernels,
    Gaussian,
    Gluing,
    GraphCharacters,
    GraphKernels,
    Graphs,
    Grassmannian,
    HermiteKernels,
    HermiteProducts,
    Huber,
    Hypercube,
    InvariantBasis,
    KernelModel,
    LabelKernels,
    Labels,
    LieGroup,
    LinearCombinations,
    Logistic,
    MatrixGroup,
    Mesh,
    Motif,
    MotifFunctions,
    Motifs,
    Multinomial,
    MultisetFunctions,
    Multisets,
    Operation,
    OrbitSums,
    PermutationGroup,
    PlaneWaveKernels,
    PlaneWaveSums,
    PointProducts,
    Poisson,
    PowerSumProducts,
    Precise,
    Product,
    ProductGroup,
    ProductKernels,
    Quantile,
    Report,
    RidgeStatistics,
    RotationGroup,
    RotationKernels,
    RotationSampler,
    SetKernels,
    Sets,
    SignedPermutation,
    SignedPermutationGroup,
    SignedSampler,
    SizeTables,
    SpecialUnitarySampler,
    SpectralModel,
    Sphere,
    SphericalHarmonics,
    Squared,
    Step,
    Stiefel,
    Sums,
    SymmetricPolynomials,
    TabulatedFunctions,
    Torus,
    TorusSampler,
    TranslationGroup,
    TranslationSampler,
    Transversals,
    WignerMatrices,
    WreathElement,
    WreathGroup,
    YoungSampler,
    ZonalKernels,
)
# What reading a file that is none of ours, or is damaged, may raise.
_READING_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    AttributeError,
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
# Python refuses to print integers beyond this many digits (a group's order may be one).
_MAX_DECIMAL_BITS = 4096


# What is stored by itself.
Stored = SpectralModel | ConvexModel | KernelModel | InvariantBasis | RidgeStatistics


def save(path: str | os.PathLike[str], model: Stored) -> None:
    """Write a model, a basis, or statistics to one file, atomically: the file is whole or absent.

    A basis that took long to build is built once, and read wherever it is wanted again; statistics of
    parts of the data are added wherever they meet.

    Args:
        path: where; an existing file is replaced.
        model: a fitted model, a basis, or statistics, with concrete arrays.

    Raises:
        TypeError: a part cannot be stored: a user's own ``act``, or a traced array.

    >>> import symjax_learn as sj, jax, tempfile, os
    >>> x = sj.Torus(1).sample(jax.random.key(0), (9,))
    >>> model = sj.fit_ridge(sj.eigenbasis(sj.Torus(1), max_eigenvalue=1), x, jax.numpy.sin(x[:, 0]))
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> sj.save(path, model)
    >>> bool((sj.load(path)(x) == model(x)).all())
    True
    """
    if not isinstance(model, Stored):
        raise TypeError(
            f"model: expected a fitted model or a basis, or statistics, and got a "
            f"{type(model).__name__}."
        )
    write(path, model)


def write(path: str | os.PathLike[str], model: Stored | Checkpoint) -> None:
    """As :func:`save`, also a checkpoint."""
    arrays: dict[str, np.ndarray] = {}
    tree = _encode(model, arrays, "model")
    entries = {"format": FORMAT, "version": VERSION, "checksum": _checksum(arrays), "model": tree}
    arrays["header"] = np.frombuffer(json.dumps(entries).encode(), np.uint8)
    folder = os.path.dirname(os.path.abspath(path))
    handle, partial = tempfile.mkstemp(dir=folder, prefix=".saving-", suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def digest(model: Stored) -> str:
    """A name of what would be stored, which differs where the content does."""
    arrays: dict[str, np.ndarray] = {}
    tree = json.dumps(_encode(model, arrays, "model"))
    return hashlib.sha256((tree + _checksum(arrays)).encode()).hexdigest()


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    """Of names, types, shapes and contents."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def load(path: str | os.PathLike[str], *, constructors: Sequence[type] = ()) -> Any:
    """Read what :func:`save` wrote: a model, a basis, or statistics; its values are bitwise the same.

    Args:
        path: the file.
        constructors: the classes of a user's own spaces or groups, if the model has any. Only these and
            the library's are ever constructed; nothing else is imported or run.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated or damaged, not a model, of an unknown version, names an
            unknown constructor, or holds float64 arrays while x64 is off.

    >>> import symjax_learn as sj
    >>> sj.load("no/such/model.npz")
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}  # zip checks every CRC
        header = json.loads(bytes(arrays["header"]))
    except FileNotFoundError:
        raise
    except _READING_ERRORS as error:
        raise ValueError(
            f"path: {os.fspath(path)!r} is truncated, damaged or not a model file ({error}); save the "
            "model again."
        ) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"path: {os.fspath(path)!r} is not a model of this library.")
    if header.get("version") != VERSION:
        raise ValueError(
            f"path: {os.fspath(path)!r} has format version {header.get('version')!r} and this release "
            f"reads version {VERSION}; use the release that wrote it."
        )
    stored = {name: array for name, array in arrays.items() if name != "header"}
    # Files of models written before there was one have none.
    if header.get("checksum", _checksum(stored)) != _checksum(stored):
        raise ValueError(
            f"path: {os.fspath(path)!r} is damaged: its arrays are not those that were saved, by their "
            "checksum; save it again."
        )
    known = {cls.__name__: cls for cls in (*_CONSTRUCTORS, *constructors)}
    try:
        model = _decode(header["model"], arrays, known)
        whole = _is_whole(model)
    except _RefusedError as error:
        raise ValueError(f"path: {os.fspath(path)!r} {error}") from None
    except _READING_ERRORS as error:
        raise ValueError(
            f"path: {os.fspath(path)!r} holds a damaged model ({error!r}); save the model again."
        ) from error
    if not whole:
        raise ValueError(f"path: {os.fspath(path)!r} holds no whole model; save the model again.")
    return model


def _is_whole(model: Any) -> bool:
    """Whether all parts fit: as many coefficients, or sums, as there are functions."""
    match model:
        case KernelModel():
            return model.coefficients.shape[0] == len(model.centers)
        case SpectralModel() | ConvexModel():
            return model.coefficients.shape[0] == model.basis.num_functions
        case InvariantBasis():
            return model.eigenvalues.shape == (model.num_functions,)
        case RidgeStatistics():
            return model.is_whole()
        case Checkpoint():
            return isinstance(model.sums, Sums)
    return False


class _RefusedError(Exception):
    """A file that can be read and must not be."""


def _encode(value: Any, arrays: dict[str, np.ndarray], name: str) -> Any:
    """JSON for anything in a model; arrays go into ``arrays`` under dotted names."""
    if isinstance(value, bool | str | float) or value is None:
        return value
    if isinstance(value, int):
        return value if value.bit_length() < _MAX_DECIMAL_BITS else {"hexadecimal": hex(value)}
    if isinstance(value, jax.Array | np.ndarray):
        if isinstance(value, Tracer):
            raise TypeError(f"model: {name} is being traced; save outside jit, vmap and grad.")
        arrays[name] = np.asarray(value)
        return {"array": name}
    fields = _fields(value)
    if fields is not None:
        encoded = {f: _encode(getattr(value, f), arrays, f"{name}.{f}") for f in fields}
        return {"constructor": type(value).__name__, "fields": encoded}
    if isinstance(value, tuple):
        return {"tuple": [_encode(v, arrays, f"{name}.{i}") for i, v in enumerate(value)]}
    raise TypeError(
        f"model: {name} is {value!r}, which cannot be stored (functions never are); save its "
        "coefficients, and build the basis again when loading."
    )


def _fields(value: Any) -> list[str] | None:
    """The field names of a dataclass (a module is one) or a named tuple."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return list(value._fields) if hasattr(value, "_fields") else None


def _decode(tree: Any, arrays: dict[str, np.ndarray], known: dict[str, type]) -> Any:
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        array = arrays[tree["array"]]
        if array.dtype == np.float64 and jnp.result_type(float) != jnp.float64:
            raise _RefusedError(
                "was fitted in float64 and x64 is off in this session; start it with JAX_ENABLE_X64=1, "
                "so that the model predicts the same."
            )
        return jnp.asarray(array)
    if "hexadecimal" in tree:
        return int(tree["hexadecimal"], 16)
    if "tuple" in tree:
        return tuple(_decode(item, arrays, known) for item in tree["tuple"])
    cls = known.get(tree["constructor"])
    if cls is None:
        raise _RefusedError(
            f"names the constructor {tree['constructor']!r}, which is not this library's; pass its "
            "class as load(path, constructors=(...,))."
        )
    fields = {name: _decode(part, arrays, known) for name, part in tree["fields"].items()}
    parameters, names = set(inspect.signature(cls).parameters), _fields_of(cls)
    return cls(**fields) if parameters == names else _with_fields(cls, fields, names)


def _fields_of(cls: type) -> set[str]:
    if dataclasses.is_dataclass(cls):
        return {field.name for field in dataclasses.fields(cls)}
    return set(getattr(cls, "_fields", ()))


def _with_fields(cls: type, fields: dict[str, Any], names: set[str]) -> Any:
    """A module whose constructor takes other arguments than its fields, as a pytree is unflattened."""
    if names != set(fields):
        raise TypeError(f"{cls.__name__} has the fields {sorted(names)}, not {sorted(fields)}")
    module = object.__new__(cls)
    for name, value in fields.items():
        object.__setattr__(module, name, value)
    return module
