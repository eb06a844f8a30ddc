"""Where bundles are found, and the check of their digests."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from broker_plugin._data import data_folder
from broker_plugin.bundles.manifest import MANIFEST_NAME, BundleError, Manifest

logger = logging.getLogger(__name__)

WEIGHTS_VARIABLE = "BROKER_PLUGIN_WEIGHTS"
ENTRY_POINT_GROUP = "broker_plugin.bundles"
SAVED_MODEL = "saved_model"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk.

    Attributes
    ----------
    path
        Its folder.
    origin
        How it was found: ``packaged``, ``$BROKER_PLUGIN_WEIGHTS``, the name of an entry point, or ``path``.
    sha256
        Of ``bundle.json``, which holds the digests of every other file: it stands for the whole bundle.
    """

    manifest: Manifest
    path: Path
    origin: str
    sha256: str

    @property
    def saved_model(self) -> Path:
        """The folder of the SavedModel."""
        return self.path / SAVED_MODEL


@dataclass(frozen=True, slots=True)
class BrokenBundle:
    """A folder or entry point that should be a bundle and can't be read as one."""

    where: str
    origin: str
    problem: str


def search(weights: Path | None = None) -> tuple[list[Bundle], list[BrokenBundle]]:
    """Every bundle that can be found, and those that are broken.

    Parameters
    ----------
    weights
        A folder to look in before all others, laid out ``NAME/VERSION/bundle.json``.
    """
    found: dict[str, Bundle] = {}
    broken: list[BrokenBundle] = []
    for root, origin in _roots(weights, broken):
        if not root.is_dir():
            broken.append(BrokenBundle(str(root), origin, f"{root}: there is no such folder"))
        for manifest_path in sorted(root.glob(f"*/*/{MANIFEST_NAME}")):
            try:
                bundle = _read(manifest_path.parent, origin)
            except BundleError as problem:
                broken.append(BrokenBundle(str(manifest_path.parent), origin, str(problem)))
            else:
                found.setdefault(bundle.manifest.label, bundle)
    return sorted(found.values(), key=lambda b: (b.manifest.name, _version_key(b.manifest.version))), broken


def find_bundles(weights: Path | None = None) -> list[Bundle]:
    """The newest version of every bundle that can be found, by name."""
    return _newest(search(weights)[0])


def find_verified(weights: Path | None = None) -> list[Bundle]:
    """`find_bundles`, with their digests checked; what is broken is logged and passed over.

    Raises
    ------
    BundleError
        None is found, ``weights`` is not a folder, or a file is not the one that its manifest names.
    """
    if weights is not None and not weights.is_dir():
        raise BundleError(f"{weights}: there is no such folder of bundles")
    found, broken = search(weights)
    for one in broken:
        logger.warning("a broken bundle is passed over (%s): %s", one.origin, one.problem)
    bundles = _newest(found)
    if not bundles:
        raise BundleError(f"no bundles are found: set ${WEIGHTS_VARIABLE} to a folder of them")
    for bundle in bundles:
        verify(bundle)
    return bundles


def load(name: str, weights: Path | None = None) -> Bundle:
    """Find one bundle and check its digests.

    Parameters
    ----------
    name
        ``NAME`` (its newest version), ``NAME/VERSION``, or the path of a bundle's folder, which begins with
        ``/`` or ``.``: what lies in the working directory must not stand in for a bundle asked for by name.

    Raises
    ------
    BundleError
        There is no such bundle, or a file of it is not the one that its manifest names.
    """
    if name.startswith(("/", ".")):
        bundle = _read(Path(name), "path")
    else:
        bundles = search(weights)[0]
        matching = [b for b in bundles if name in (b.manifest.name, b.manifest.label)]
        if not matching:
            known = ", ".join(b.manifest.label for b in bundles) or "none"
            raise BundleError(f"no bundle {name!r}; found: {known}")
        bundle = matching[-1]
    verify(bundle)
    return bundle


def verify(bundle: Bundle) -> None:
    """Compare every file of a bundle with its digest.

    Raises
    ------
    BundleError
        A file is missing, changed, or not named by the manifest.
    """
    on_disk = set(bundle_files(bundle.path))
    named = bundle.manifest.files
    for problem, names in (
        ("is named by the manifest and not there", set(named) - on_disk),
        ("is there and not named by the manifest", on_disk - set(named)),
        ("is not the file that the manifest names", {n for n in on_disk & set(named) if _changed(bundle, n)}),
    ):
        if names:
            raise BundleError(f"{bundle.path}: {sorted(names)[0]} {problem}")
    if not any(name.startswith(f"{SAVED_MODEL}/") for name in named):
        raise BundleError(f"{bundle.path}: it holds no {SAVED_MODEL}")


def bundle_files(folder: Path) -> list[str]:
    """Paths of a bundle's files but the manifest, relative and with forward slashes."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path != folder / MANIFEST_NAME
    )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _newest(bundles: list[Bundle]) -> list[Bundle]:
    """The last of each name: `search` gives them in rising order of version."""
    return list({bundle.manifest.name: bundle for bundle in bundles}.values())


def _changed(bundle: Bundle, name: str) -> bool:
    return file_sha256(bundle.path / name) != bundle.manifest.files[name]


def _read(folder: Path, origin: str) -> Bundle:
    return Bundle(Manifest.read(folder), folder.resolve(), origin, file_sha256(folder / MANIFEST_NAME))


def _roots(weights: Path | None, broken: list[BrokenBundle]) -> Iterator[tuple[Path, str]]:
    if weights is not None:
        yield weights, "given"
    yield data_folder("weights"), "packaged"
    for folder in filter(None, os.environ.get(WEIGHTS_VARIABLE, "").split(os.pathsep)):
        yield Path(folder), f"${WEIGHTS_VARIABLE}"
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            target = entry_point.load()
            yield Path(target() if callable(target) else target), f"entry point {entry_point.name}"
        except Exception as problem:  # noqa: BLE001 - somebody else's package: reported, and the rest is found
            broken.append(
                BrokenBundle(
                    entry_point.value, f"entry point {entry_point.name}", f"{type(problem).__name__}: {problem}"
                )
            )


def _version_key(version: str) -> tuple[object, ...]:
    """Order of precedence: Semantic Versioning 2.0.0, section 11."""
    numbers, _, pre = version.split("+", 1)[0].partition("-")
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")] if pre else []
    return tuple(int(part) for part in numbers.split(".")), not pre, parts
