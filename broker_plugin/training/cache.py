"""Alerts made into tensors once and kept on disk, so that a data set of any size can be learned from.

Stamps are by far the most of a data set.  They are written as the alerts are read, and looked at through a memory
map: what stays in memory of an alert are its metadata, its id and its label, a few hundred bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import Alert
from broker_plugin.bundles import FeatureSpec, Manifest, ModelSpec, StampSpec
from broker_plugin.evaluation.examples import Label
from broker_plugin.packets import PacketFiles, PacketReader
from broker_plugin.packets.files import SUFFIXES
from broker_plugin.tensors import make_batch, needed_fields, needs_history
from broker_plugin.tensors.metadata import features_of, source_values
from broker_plugin.training.presets import CLASSES, PREPROCESSING_VERSION, TAXONOMY, TAXONOMY_VERSION

PROVENANCE_NAME = "cache.json"
_FORMAT = 1
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class CachedAlerts:
    """Alerts that the stage would classify, as they lie on disk.

    Attributes
    ----------
    stamps
        float32, (n, size, size, channels), prepared; a view of the file.
    values
        What features are made of, float64, (n, sources), NaN where the packet has none.
    alert_ids, classes
        Of the rows, (n,); the latter as numbers in `presets.CLASSES`.
    problems
        What is wrong with labelled alerts that can't be classified, by their id.
    splits
        Number of rows of each split, one after the other, where the data come with splits of their own.
    sha256
        Over all rows: tells one data set from another.
    """

    survey: str
    sources: tuple[str, ...]
    stamps: NDArray[np.float32]
    values: NDArray[np.float64]
    alert_ids: NDArray[np.int64]
    classes: NDArray[np.int64]
    problems: Mapping[int, str]
    splits: Mapping[str, int]
    sha256: str

    def features(self, specs: Sequence[FeatureSpec]) -> NDArray[np.float32]:
        """The features of all rows, (n, features), as the stage computes them."""
        return features_of(self.sources_of(specs), specs).values

    def sources_of(self, specs: Sequence[FeatureSpec]) -> NDArray[np.float64]:
        """What features are made of, (n, features), NaN where the packet has none."""
        return self.values[:, [self.sources.index(spec.source) for spec in specs]]


def cached_packets(
    folder: Path,
    paths: Sequence[Path],
    labels: Mapping[int, Label],
    survey: str,
    stamps: StampSpec,
    features: Sequence[FeatureSpec],
) -> CachedAlerts:
    """The labelled alerts among the packets of ``paths``, in the order in which they are met; each is taken once.

    Parameters
    ----------
    folder
        Where caches are; made if need be.  One that was made of the same packets, labels and preparation is used.
    """
    reader = PacketReader(needed_fields(features), history=needs_history(features))

    def labelled() -> Iterator[tuple[Alert, str]]:
        seen: set[int] = set()
        for alert in PacketFiles(paths, reader):
            alert_id = alert.identity.alert_id
            if not isinstance(alert, Alert) or alert_id is None or alert.identity.survey != survey:
                continue
            if alert_id in labels and alert_id not in seen:
                seen.add(alert_id)
                yield alert, labels[alert_id].class_name

    made_of = {"packets": _described(paths), "labels": _digest_of_labels(labels)}
    return _cached_alerts(folder, "packets", made_of, survey, stamps, features, labelled())


def cached_simulation(
    folder: Path, survey: str, per_class: int, seed: int, stamps: StampSpec, features: Sequence[FeatureSpec]
) -> CachedAlerts:
    """Synthetic alerts, ``per_class`` of each class, read as real ones are; see `cached_packets`."""
    from broker_plugin import simulation

    reader = PacketReader(needed_fields(features), history=needs_history(features))

    def labelled() -> Iterator[tuple[Alert, str]]:
        for packet in simulation.simulate_packets(survey, per_class * len(simulation.CLASSES), seed):
            alert = reader.read(packet.payload)
            if isinstance(alert, Alert):
                yield alert, packet.class_name

    made_of = {"per_class": per_class, "seed": seed, "simulator": _digest_of_code(Path(simulation.__file__).parent)}
    return _cached_alerts(folder, "simulated", made_of, survey, stamps, features, labelled())


def cached(
    folder: Path,
    kind: str,
    made_of: Mapping[str, Any],
    survey: str,
    stamps: StampSpec,
    sources: Sequence[str],
    fill: Callable[[CacheWriter], None],
) -> CachedAlerts:
    """What was written before of the same things; or what ``fill`` writes now.

    Parameters
    ----------
    folder
        Where caches are.
    kind
        What the data set is called in the name of its own folder.
    made_of
        What the rows depend on besides survey, preparation and sources, as plain values.
    """
    provenance = {
        "format": _FORMAT,
        "preprocessing_version": PREPROCESSING_VERSION,
        "survey": survey,
        "stamps": asdict(stamps),
        "sources": list(sources),
        **made_of,
    }
    key = hashlib.sha256(json.dumps(provenance, sort_keys=True).encode()).hexdigest()
    own = folder / f"{kind}-{stamps.size}-{key[:12]}"
    if not own.exists():
        unfinished = own.with_name(f"{own.name}.{os.getpid()}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with CacheWriter(unfinished, stamps, len(sources)) as writer:
            fill(writer)
        about = {**provenance, **writer.about()}
        (unfinished / PROVENANCE_NAME).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        try:
            unfinished.rename(own)
        except OSError:
            if not own.exists():
                raise
            shutil.rmtree(unfinished)  # another process was faster, with the same
    return _opened(own)


class CacheWriter:
    """Rows on their way into a cache; a context manager.

    Attributes
    ----------
    problems
        What is wrong with alerts that are left out, by their id.
    splits
        Number of rows of each split, if the data come with splits.
    """

    def __init__(self, folder: Path, stamps: StampSpec, sources: int) -> None:
        size, channels = stamps.size, len(stamps.channels)
        self.problems: dict[int, str] = {}
        self.splits: dict[str, int] = {}
        self._digest = hashlib.sha256()
        self._files = {
            "stamps": _GrowingArray(folder / "stamps.npy", np.float32, (size, size, channels)),
            "values": _GrowingArray(folder / "values.npy", np.float64, (sources,)),
            "alert_ids": _GrowingArray(folder / "alert_ids.npy", np.int64, ()),
            "classes": _GrowingArray(folder / "classes.npy", np.int64, ()),
        }

    def __enter__(self) -> CacheWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def append(self, **columns: Any) -> None:
        """Add the ``stamps``, ``values``, ``alert_ids`` and ``classes`` of some rows."""
        for name, file in self._files.items():
            self._digest.update(file.append(columns[name]))

    def about(self) -> dict[str, Any]:
        """What there is to say of the rows, for the provenance."""
        return {"problems": self.problems, "splits": self.splits, "sha256": self._digest.hexdigest()}


def write_alerts(
    writer: CacheWriter,
    survey: str,
    stamps: StampSpec,
    features: Sequence[FeatureSpec],
    alerts: Iterable[tuple[Alert, str]],
) -> None:
    """Write the tensors of alerts, each given with the name of its class, holding a few hundred of them at a time."""
    sources = _sources(features)
    manifest = _manifest(survey, stamps, tuple(features))
    waiting = iter(alerts)
    while chunk := list(islice(waiting, _CHUNK)):
        batch = make_batch([alert for alert, _ in chunk], manifest)
        good = [pair for row, pair in enumerate(chunk) if row not in batch.problems]
        for row, problem in batch.problems.items():
            writer.problems[chunk[row][0].identity.alert_id or 0] = str(problem)
        writer.append(
            stamps=batch.stamps[[row for row in range(len(chunk)) if row not in batch.problems]],
            values=source_values([alert for alert, _ in good], sources).values,
            alert_ids=[alert.identity.alert_id for alert, _ in good],
            classes=[CLASSES.index(class_name) for _, class_name in good],
        )


def _cached_alerts(
    folder: Path,
    kind: str,
    made_of: Mapping[str, Any],
    survey: str,
    stamps: StampSpec,
    features: Sequence[FeatureSpec],
    alerts: Iterable[tuple[Alert, str]],
) -> CachedAlerts:
    def fill(writer: CacheWriter) -> None:
        write_alerts(writer, survey, stamps, features, alerts)

    return cached(folder, kind, made_of, survey, stamps, _sources(features), fill)


def _opened(folder: Path) -> CachedAlerts:
    about = json.loads((folder / PROVENANCE_NAME).read_text(encoding="utf-8"))

    def mapped(name: str) -> np.ndarray:
        # A plain view, whose slices are arrays like any other.
        return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))

    return CachedAlerts(
        about["survey"],
        tuple(about["sources"]),
        mapped("stamps"),
        mapped("values"),
        mapped("alert_ids"),
        mapped("classes"),
        {int(alert_id): problem for alert_id, problem in about["problems"].items()},
        about["splits"],
        about["sha256"],
    )


class _GrowingArray:
    """An ``.npy`` file that rows are added to: numpy leaves room in its header for the first axis to grow."""

    def __init__(self, path: Path, dtype: type, row_shape: tuple[int, ...]) -> None:
        self._file = path.open("wb")
        self._dtype = np.dtype(dtype)
        self._row_shape = row_shape
        self._count = 0
        self._write_header()

    def close(self) -> None:
        """Write how many rows there are."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def append(self, rows: Any) -> bytes:
        """Add rows; the bytes that were written."""
        array = np.ascontiguousarray(rows, dtype=self._dtype).reshape(len(rows), *self._row_shape)
        self._count += len(array)
        data = array.tobytes()
        self._file.write(data)
        return data

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._count, *self._row_shape),
        }
        np.lib.format.write_array_header_1_0(self._file, header)


def _sources(features: Sequence[FeatureSpec]) -> list[str]:
    return sorted({feature.source for feature in features})


def _manifest(survey: str, stamps: StampSpec, features: tuple[FeatureSpec, ...]) -> Manifest:
    """As much of a manifest as `make_batch` asks for."""
    return Manifest(
        name="cache",
        version="0.0.0",
        kind="stamp",
        survey=survey,
        description="",
        taxonomy=TAXONOMY,
        taxonomy_version=TAXONOMY_VERSION,
        classes=CLASSES,
        preprocessing_version=PREPROCESSING_VERSION,
        stamps=stamps,
        features=features,
        model=ModelSpec(signatures={"float32": ""}),
    )


def _described(paths: Sequence[Path]) -> list[list[Any]]:
    """Name, size and time of change of every file of packets."""
    files: list[Path] = []
    for path in paths:
        files += sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES)) if path.is_dir() else [path]
    return [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]


def _digest_of_labels(labels: Mapping[int, Label]) -> str:
    digest = hashlib.sha256()
    for alert_id in sorted(labels):
        digest.update(f"{alert_id} {labels[alert_id]!r}\n".encode())
    return digest.hexdigest()


def _digest_of_code(folder: Path) -> str:
    """Over the modules of a part: synthetic alerts are others when the simulator is."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
