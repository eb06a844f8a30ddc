"""What can be wrong with a command, as the user is told it."""

from __future__ import annotations

import errno
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

_CALLED = {"keras": "Keras", "optuna": "Optuna"}
"""Modules whose projects are written otherwise."""


class UsageProblem(click.ClickException):
    """Arguments that can't be used: one line on standard error, and exit status 2."""

    exit_code = 2


class Failure(click.ClickException):
    """Work that could not be done, though the arguments were good: one line, and exit status 1."""

    exit_code = 1


@contextmanager
def told_as_usage() -> Iterator[None]:
    """Turn what the package raises about its arguments into a `UsageProblem`.

    For setting things up alone: an error of these types in the midst of the work would be ours, and has a
    traceback.
    """
    from broker_plugin.bundles import BundleError
    from broker_plugin.history import HistoryError
    from broker_plugin.models import DeviceError

    try:
        yield
    except (BundleError, DeviceError, HistoryError, ValueError, ImportError) as problem:
        raise UsageProblem(str(problem)) from problem
    except OSError as problem:
        raise UsageProblem(described(problem)) from problem


def described(problem: OSError) -> str:
    """``out.avro: Permission denied``, without the error's number."""
    reason = problem.strerror or str(problem)
    return reason if problem.filename is None else f"{problem.filename}: {reason}"


def is_broken_pipe(problem: OSError) -> bool:
    """Whether the reader of a pipe has gone."""
    return isinstance(problem, BrokenPipeError) or problem.errno == errno.EPIPE


def require_png(png: Path) -> None:
    """Refuse a figure that could not be written, before anything is read or classified."""
    if png.suffix.lower() != ".png":
        raise UsageProblem(f"{png}: the figure's name must end in .png")
    if not png.parent.is_dir():
        raise UsageProblem(f"the folder of {png} does not exist: make {png.parent} first")
    require_extra("--png", "plot", "matplotlib")


def require_paths(paths: tuple[Path, ...]) -> None:
    """Refuse a path that isn't there."""
    for path in paths:
        if not path.exists():
            raise UsageProblem(f"{path}: no such file or folder")


def refuse_to_overwrite(out: Path) -> None:
    """Refuse to make a folder anew that is no bundle: what else is in it would be gone."""
    known = ("bundle.json", "scores.json")
    if out.is_dir() and any(out.iterdir()) and not any((out / name).is_file() for name in known):
        raise UsageProblem(f"{out} holds other things than a bundle, and would be emptied: name a folder of its own")
    if out.exists() and not out.is_dir():
        raise UsageProblem(f"{out} is a file: name a folder for the bundle")


def require_extra(what: str, extra: str, *modules: str) -> None:
    """Refuse ``what`` where one of the modules that it needs is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            name = _CALLED.get(module, module)
            raise UsageProblem(f"{what} needs {name}: pip install 'broker-plugin[{extra}]'")
