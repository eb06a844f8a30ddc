"""Fixtures that all tests share."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import objects, temporal_bundle

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLES = REPOSITORY / "examples" / "packets"


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundles, ``tiny-ztf/0.1.0`` and ``tiny-rubin/0.1.0``: real preprocessing, untrained networks."""
    root = tmp_path_factory.mktemp("weights")
    for survey in ("ztf", "rubin"):
        _write_tiny_bundle(root / f"tiny-{survey}" / "0.1.0", survey)
    return root


@pytest.fixture(scope="session")
def temporal_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundles, ``tiny-temporal-ztf/0.1.0`` and ``tiny-temporal-rubin/0.1.0``: untrained networks."""
    root = tmp_path_factory.mktemp("temporal-weights")
    for survey in ("ztf", "rubin"):
        temporal_bundle.write(root / f"tiny-temporal-{survey}" / "0.1.0", survey)
    return root


@pytest.fixture(scope="session")
def object_packets(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four packets of one object of ZTF, as files, in order of time."""
    return objects.write(tmp_path_factory.mktemp("object"), 4)


@pytest.fixture(scope="session", autouse=True)
def every_record_is_valid() -> Iterator[None]:
    """Each record that a test makes is held against the schema and its rules, whatever the test is about."""
    from broker_plugin.records import build
    from broker_plugin.records.validation import validate_record

    make = build._record

    def checked(*arguments: Any, **named: Any) -> Any:
        record = make(*arguments, **named)
        problems = validate_record(record)
        assert not problems, problems
        return record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_record", checked)
        yield


@pytest.fixture(scope="session")
def shared_alerts() -> Path:
    """The folder of real alerts that stands beside a checkout, where there is one."""
    folder = REPOSITORY.parent / "shared" / "alerts"
    if not folder.is_dir():
        pytest.skip(f"needs the real alerts, which are not in the repository: {folder} is not there")
    return folder


@pytest.fixture(scope="session")
def allwise_sample() -> Path:
    """Real AllWISE counterparts, as the CDS gave them, where they stand beside a checkout."""
    table = REPOSITORY.parent / "shared" / "catalogs" / "allwise_sample.csv"
    if not table.is_file():
        pytest.skip(f"needs real AllWISE rows, which are not in the repository: {table} is not there")
    return table


def _write_tiny_bundle(folder: Path, survey: str) -> None:
    import keras

    from broker_plugin.alert import Alert
    from broker_plugin.bundles import Manifest, ModelSpec, NoveltySpec
    from broker_plugin.packets import PacketFiles, PacketReader
    from broker_plugin.tensors import make_batch
    from broker_plugin.training.architecture import EMBEDDING, fast_network
    from broker_plugin.training.export import write_bundle
    from broker_plugin.training.novelty import strangeness_network
    from broker_plugin.training.presets import CLASSES, PRESETS, TAXONOMY, TAXONOMY_VERSION

    preset = PRESETS[survey]
    manifest = Manifest(
        name=f"tiny-{survey}",
        version="0.1.0",
        kind="stamp",
        survey=survey,
        description="An untrained network, for tests.",
        taxonomy=TAXONOMY,
        taxonomy_version=TAXONOMY_VERSION,
        classes=CLASSES,
        preprocessing_version="1.0",
        stamps=preset.stamps,
        features=preset.features,
        model=ModelSpec(signatures={"float32": ""}),
        novelty=NoveltySpec("test", (0.0, 10.0, 100.0)),
    )
    # Features of order one, or the softmax would say 0 and 1 of every alert.
    alerts = [p for p in PacketFiles([EXAMPLES / survey], PacketReader()) if isinstance(p, Alert)]
    raw = make_batch(alerts, manifest).features.astype(np.float64)
    scaled = zip(preset.features, raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-3), strict=True)
    manifest = replace(
        manifest, features=tuple(replace(f, mean=float(mean), std=float(std)) for f, mean, std in scaled)
    )
    keras.utils.set_random_seed(7)
    build = functools.partial(
        fast_network,
        size=manifest.stamps.size,
        channels=len(manifest.stamps.channels),
        features=len(preset.features),
        classes=len(CLASSES),
    )
    network = build()
    width = network.output[EMBEDDING].shape[1]
    strangeness = strangeness_network(np.zeros(width, np.float32), np.ones(width, np.float32))
    write_bundle(folder, manifest, network, build, [strangeness], "# Untrained, for tests\n")
