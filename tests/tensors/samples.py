"""Alerts to make tensors of."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from astropy.io import fits

from broker_plugin.alert import STAMP_NAMES, Alert, Identity
from broker_plugin.bundles import FeatureSpec, Manifest, ModelSpec, StampSpec


def fits_file(pixels: np.ndarray, **cards: Any) -> bytes:
    """A cutout."""
    stream = io.BytesIO()
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(cards)
    hdu.writeto(stream)
    return stream.getvalue()


def alert(pixels: np.ndarray | None = None, survey: str = "rubin", **values: Any) -> Alert:
    """An alert of three equal stamps; without pixels it has a plain ramp."""
    if pixels is None:
        pixels = np.arange(63 * 63, dtype=np.float32).reshape(63, 63)
    return Alert(Identity(survey=survey), values, dict.fromkeys(STAMP_NAMES, fits_file(pixels)))


def valued(**values: Any) -> Alert:
    """An alert of metadata alone."""
    return Alert(Identity(survey="ztf"), values)


def manifest(
    features: tuple[FeatureSpec, ...] = (), stamps: StampSpec | None = None, survey: str = "rubin"
) -> Manifest:
    """A manifest that declares these inputs."""
    return Manifest(
        name="test",
        version="1.0.0",
        kind="stamp",
        survey=survey,
        description="",
        taxonomy="test",
        taxonomy_version="1.0",
        classes=("a", "b"),
        preprocessing_version="1.0",
        stamps=stamps or StampSpec(channels=STAMP_NAMES, size=21),
        features=features,
        model=ModelSpec(signatures={"float32": "serving"}),
    )
