"""The house itself: floors, what an import costs, and what it must not bring along."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "symjax_learn"

# A module imports only from lower floors and from its own room.
FLOORS = [
    {"_types", "_linalg", "_chunks"},
    {"algebra", "geometry", "optimization"},
    {"invariants"},
    {"learning", "theory", "datasets"},
    {"diagnostics", "testing", "sklearn"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Imported where they are used: importing the package must not pay for them.
LAZY = (
    "sympy", "matplotlib", "scipy", "sklearn", "pandas", "optax", "chex", "hypothesis", "spglib",
    "robust_laplacian", "clarabel",
)  # fmt: skip

MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path != LIBRARY / "__init__.py")


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path):
    """(module, line, whether at the top level) of each import in a file."""
    tree = ast.parse(path.read_text())
    top = set(ast.walk(ast.Module([n for n in tree.body if not _is_scope(n)], [])))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno, node in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            found.append((node.module, node.lineno, node in top))
    return found


def _is_scope(node):
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_only_from_lower_floors(path):
    room = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
    assert room in FLOOR_OF, f"{room} stands on no floor"
    for module, line, _ in imports(path):
        if module.split(".")[0] != "symjax_learn":
            continue
        assert module != "symjax_learn", f"{path}:{line}: nobody imports the package root"
        other = module.split(".")[1]
        lower = FLOOR_OF[other] < FLOOR_OF[room]
        assert other == room or lower, f"{path}:{line}: {room} imports {other}"


def test_no_cycles():
    names = {name_of(path): path for path in MODULES}
    edges = {
        name: {module for module, _, _ in imports(path) if module in names} - {name}
        for name, path in names.items()
    }
    while edges:
        leaves = {name for name, targets in edges.items() if not targets & edges.keys()}
        assert leaves, f"a cycle among {sorted(edges)}"
        edges = {name: targets for name, targets in edges.items() if name not in leaves}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_libraries_are_imported_where_they_are_used(path):
    for module, line, at_top in imports(path):
        assert not (at_top and module.split(".")[0] in LAZY), f"{path}:{line}: {module}"


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.py")), ids=name_of)
def test_experiments_use_public_names_only(path):
    """The contents page, and the rooms of plain functions for everybody."""
    for module, line, _ in imports(path):
        rooms = {"symjax_learn.algebra", "symjax_learn.optimization"}
        allowed = not module.startswith("symjax_learn.") or module in rooms
        assert allowed, f"{path}:{line}: {module}"


@pytest.mark.parametrize("path", sorted((ROOT / "paper_figures").glob("*.py")), ids=name_of)
def test_figures_import_neither_jax_nor_the_library(path):
    for module, line, _ in imports(path):
        root = module.split(".")[0]
        assert root not in {"jax", "symjax_learn", "experiments"}, f"{path}:{line}: {module}"


def loaded_by(statement):
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return {module.split(".")[0] for module in process.stdout.split()}


def test_importing_the_package_adds_nothing_to_jax_and_equinox():
    added = loaded_by("import symjax_learn") - loaded_by("import jax, equinox, lineax")
    assert added <= {"symjax_learn", *sys.stdlib_module_names}


def test_importing_the_figures_does_not_load_jax():
    assert "jax" not in loaded_by("import paper_figures")


def test_the_contents_page_lists_only_public_names_and_configures_nothing():
    page = ast.parse((LIBRARY / "__init__.py").read_text())
    docstring, *statements = page.body
    assert isinstance(docstring, ast.Expr)
    for statement in statements:
        assert isinstance(statement, ast.ImportFrom)
        assert all(alias.asname == alias.name for alias in statement.names)


def test_no_global_configuration_default_keys_or_printing():
    for path in MODULES:
        source = path.read_text()
        assert "config.update" not in source, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path}:{node.lineno}"
            if isinstance(node, ast.FunctionDef):
                positional = node.args.args
                defaulted = positional[len(positional) - len(node.args.defaults) :]
                assert "key" not in {argument.arg for argument in defaulted}, f"{path}:{node.lineno}"


def test_every_public_name_has_a_docstring_with_an_example_or_is_a_record():
    import symjax_learn as sj

    for name in dir(sj):
        value = getattr(sj, name)
        if name.startswith("_") or type(value).__name__ == "module":
            continue
        assert value.__doc__, name
        if not isinstance(value, type):
            assert ">>>" in value.__doc__, f"{name} has no example"
