"""The parts import only what stands to their left."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "broker_plugin"
ORDER = (
    "packets",
    "history",
    "tensors",
    "crossmatch",
    "models",
    "records",
    "classifiers",
    "following",
    "stage",
    "hookspecs",
    "plugin",
    "batcher",
    "host",
    "simulation",
    "evaluation",
    "training",
    "cli",
)
LEAVES = {"alert", "bundles", "_data", "_version"}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """Parts of the package that a file imports, at its top or within its functions."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides which part it is of"
            names = [node.module or ""]
            if node.module == "broker_plugin":
                names = [f"broker_plugin.{alias.name}" for alias in node.names]
        else:
            continue
        parts |= {name.split(".")[1] for name in names if name.startswith("broker_plugin.")}
    return parts


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_only_to_the_left(path: Path) -> None:
    part = part_of(path)
    others = imported_parts(path) - {part}
    if part in LEAVES:
        assert others <= LEAVES
    else:
        allowed = set(ORDER[: ORDER.index(part)]) | LEAVES
        assert others <= allowed, f"{path.name} imports {sorted(others - allowed)}"


def test_the_document_lists_the_same_order() -> None:
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert ", ".join(ORDER) in text


@pytest.mark.parametrize("module", ["broker_plugin", "broker_plugin.cli", "broker_plugin.plugin", "broker_plugin.host"])
def test_importing_it_imports_no_tensorflow(module: str) -> None:
    heavy = ("tensorflow", "keras", "pyarrow", "matplotlib", "galsim", "sklearn", "astropy_healpix", "astroquery")
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_every_public_name_is_there() -> None:
    import broker_plugin

    for name in broker_plugin.__all__:
        assert getattr(broker_plugin, name) is not None
    with pytest.raises(AttributeError, match="nonesuch"):
        broker_plugin.nonesuch  # noqa: B018
