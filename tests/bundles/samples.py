"""Bundles to test with; the saved model in them is a file of text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from broker_plugin.alert import STAMP_NAMES
from broker_plugin.bundles import Exclusion, FeatureSpec, Manifest, ModelSpec, NoveltySpec, StampSpec
from broker_plugin.bundles.manifest import MANIFEST_NAME
from broker_plugin.bundles.store import bundle_files, file_sha256


def manifest(**changes: Any) -> Manifest:
    """A manifest with something in every part."""
    whole = Manifest(
        name="test-ztf",
        version="1.2.3",
        kind="stamp",
        survey="ztf",
        description="For tests.",
        taxonomy="test",
        taxonomy_version="1.0",
        classes=("AGN", "SN"),
        preprocessing_version="1.0",
        stamps=StampSpec(channels=STAMP_NAMES, size=21),
        features=(
            FeatureSpec("magpsf", "magpsf", clip=(10.0, 24.0), mean=18.0, std=2.0, fill=18.5),
            FeatureSpec("flux", "psfFlux", "asinh", 300.0, clip=(None, 1e6)),
        ),
        model=ModelSpec(signatures={"float32": "serving_default"}, distance_output="distance"),
        temperature=1.5,
        novelty=NoveltySpec("test", (0.0, 1.0, 2.0)),
        exclusions=(Exclusion("AGN", "magpsf", 23.5),),
        training={"seed": 1, "alerts": {"train": 10}},
        metrics={"accuracy": 0.5},
        versions={"tensorflow": "2.21.0"},
        files={"saved_model/saved_model.pb": "0" * 64},
    )
    return replace(whole, **changes)


def as_dict(**changes: Any) -> dict[str, Any]:
    """The content of a ``bundle.json``, to be spoilt."""
    raw: dict[str, Any] = json.loads(manifest().to_json())
    return raw | changes


def write_bundle(weights: Path, name: str = "test-ztf", version: str = "1.2.3", content: str = "weights") -> Path:
    """Write a whole bundle to ``weights/NAME/VERSION``, and return that folder."""
    folder = weights / name / version
    (folder / "saved_model" / "variables").mkdir(parents=True)
    (folder / "saved_model" / "saved_model.pb").write_text(content)
    (folder / "saved_model" / "variables" / "variables.index").write_text("index")
    (folder / "MODEL_CARD.md").write_text("# Card\n")
    files = {file: file_sha256(folder / file) for file in bundle_files(folder)}
    (folder / MANIFEST_NAME).write_text(manifest(name=name, version=version, files=files).to_json())
    return folder
