"""The data set of Carrasco-Davis et al. 2021, as its authors hand it on.

One pickle, of either of two layouts:

- ``{"Train": ..., "Validation": ..., "Test": ...}``, each ``{"images", "labels", "features"}``: stamps of 63 x 63
  pixels scaled from 0 to 1, classes as numbers, 26 features which are clipped and normalised already (this is
  ``td_ztf_stamp_17_06_20.pkl``).  Since the mean and the spread of the features are not in it, what is trained on it
  can be scored and can't be applied to packets.
- ``{"images", "labels", "features", ...}``, as read from packets: raw pixels and raw features (``converted_data.pkl``).

Classes and features are numbered as in the code that wrote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker_plugin.alert import STAMP_NAMES, AlertError, Reason
from broker_plugin.bundles import FeatureSpec, StampSpec
from broker_plugin.bundles.manifest import STAMP_STEPS
from broker_plugin.tensors.stamps import crop, nan_to_zero, scale_min_max
from broker_plugin.training.cache import CachedAlerts, CacheWriter, cached
from broker_plugin.training.presets import CLASSES
from broker_plugin.training.safe_pickle import UnsafePickleError, as_array, load_plain

FEATURE_NAMES = (
    *("sgscore1", "distpsnr1", "sgscore2", "distpsnr2", "sgscore3", "distpsnr3", "isdiffpos", "fwhm", "magpsf"),
    *("sigmapsf", "ra", "dec", "diffmaglim", "rb", "distnr", "magnr", "classtar", "ndethist", "ncovhist", "ecl_lat"),
    *("ecl_long", "gal_lat", "gal_long", "non_detections", "chinr", "sharpnr"),
)
"""The columns of ``features``.  The classes are those of `presets.CLASSES`, in their order."""

_SKY = {
    "ecl_lat": "ecliptic_latitude_deg",
    "ecl_long": "ecliptic_longitude_deg",
    "gal_lat": "galactic_latitude_deg",
    "gal_long": "galactic_longitude_deg",
}
SOURCES = tuple(_SKY.get(name, name) for name in FEATURE_NAMES)
"""What the features of packets with the same content are made of."""

NOT_IN_PAPER = frozenset({"rb", "distnr", "magnr"})
"""Columns that the paper's classifier was trained without."""

SPLITS = ("Train", "Validation", "Test")
_SIDE = 63
_CENTRE = (_SIDE // 2, _SIDE // 2)
_CHUNK = 1024
_POSITIVE = FEATURE_NAMES.index("isdiffpos")
# Right ascensions in degrees reach to 360; normalised ones stay within a few standard deviations.
_NORMALISED_BELOW = 10.0


def original_alerts(cache: Path, path: Path, stamps: StampSpec) -> CachedAlerts:
    """The data set, with its stamps prepared; read once, and found in ``cache`` after that.

    Its features are those of `SOURCES`.

    Raises
    ------
    UnsafePickleError
        The file is no such data set, or asks for more than arrays and plain values.
    """
    status = path.stat()
    made_of = {"original": [str(path.resolve()), status.st_size, status.st_mtime_ns]}
    return cached(cache, "original", made_of, "ztf", stamps, SOURCES, lambda writer: _write(writer, path, stamps))


def is_normalised(alerts: CachedAlerts) -> bool:
    """Whether the features were normalised by whoever wrote the file."""
    return _normalised(alerts.values)


def original_features(alerts: CachedAlerts, published: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """The paper's features as this data set has them, without mean and standard deviation.

    Parameters
    ----------
    published
        As they are made of packets.
    """
    if is_normalised(alerts):
        named = zip(FEATURE_NAMES, SOURCES, strict=True)
        return tuple(FeatureSpec(name, source) for name, source in named if name not in NOT_IN_PAPER)
    return tuple(published)


def _write(writer: CacheWriter, path: Path, stamps: StampSpec) -> None:
    if stamps.steps != STAMP_STEPS:
        raise ValueError(f"{path}: its stamps are scaled from 0 to 1, and can't be had in units of the noise")
    try:
        for name, part in _splits(load_plain(path)).items():
            before = len(writer.problems)
            count = _write_part(writer, part, stamps)
            writer.splits[name] = count - (len(writer.problems) - before)
    except UnsafePickleError as problem:
        raise UnsafePickleError(f"{path}: {problem}") from problem


def _splits(content: Any) -> dict[str, Any]:
    if isinstance(content, dict) and set(content) >= set(SPLITS):
        return {name: content[name] for name in SPLITS}
    if isinstance(content, dict) and set(content) >= {"images", "labels", "features"}:
        return {"": content}
    raise UnsafePickleError(f"no data set with {', '.join(SPLITS)}, or with images, labels and features")


def _write_part(writer: CacheWriter, part: Any, stamps: StampSpec) -> int:
    """Write one split; the number of its alerts."""
    labels, features, images = _columns(part)
    first = len(writer.problems) + sum(writer.splits.values())
    for start in range(0, len(labels), _CHUNK):
        good, prepared = [], []
        for row, image in enumerate(islice(images, min(_CHUNK, len(labels) - start)), start):
            try:
                prepared.append(_prepared(image, stamps))
                good.append(row)
            except AlertError as problem:
                writer.problems[first + row] = str(problem)
        writer.append(
            stamps=np.array(prepared, dtype=np.float32),
            values=features[good],
            alert_ids=[first + row for row in good],
            classes=labels[good],
        )
    return len(labels)


def _columns(part: Any) -> tuple[NDArray[np.int64], NDArray[np.float64], Iterator[np.ndarray]]:
    """Labels, (n,), features, (n, 26), and the images one by one."""
    if not isinstance(part, dict) or not set(part) >= {"images", "labels", "features"}:
        raise UnsafePickleError("a split without images, labels and features")
    labels = as_array(part["labels"]).astype(np.int64)
    if labels.ndim != 1 or (labels.size and not 0 <= labels.min() <= labels.max() < len(CLASSES)):
        raise UnsafePickleError(f"labels that are not numbers from 0 to {len(CLASSES) - 1}")
    rows, images = part["features"], part["images"]
    table = np.stack([as_array(row) for row in rows]) if isinstance(rows, list) and rows else as_array(rows)
    features = table.astype(np.float64)
    every_image = images if isinstance(images, list) else as_array(images)
    if features.shape != (len(labels), len(FEATURE_NAMES)) or len(every_image) != len(labels):
        raise UnsafePickleError(
            f"{len(labels)} labels, {len(every_image)} images and features of shape {features.shape}"
        )
    if labels.size and not _normalised(features):
        # That code made a negative difference 1 and a positive one 0; packets and the paper have it the other way.
        features[:, _POSITIVE] = 1.0 - features[:, _POSITIVE]
    return labels, features, (as_array(one) if isinstance(images, list) else one for one in every_image)


def _normalised(features: NDArray[np.float64]) -> bool:
    return bool(np.nanmax(np.abs(features[:, FEATURE_NAMES.index("ra")])) < _NORMALISED_BELOW)


def _prepared(image: np.ndarray, stamps: StampSpec) -> NDArray[np.float32]:
    """The crop of each channel, scaled by itself: `tensors.stamps.fill_stamps` does the same with packets.

    Of an image that was scaled as a whole this gives what its raw pixels would, but where it had pixels without a
    value: those have become the lowest.
    """
    if image.shape[:2] != (_SIDE, _SIDE) or image.ndim != 3 or image.shape[2] < len(stamps.channels):
        raise AlertError(Reason.UNSUPPORTED_CUTOUT, f"an image of shape {image.shape}")
    pixels = image.astype(np.float32)
    pixels = np.where(np.isfinite(pixels), pixels, np.float32(np.nan))
    channels = [crop(pixels[..., STAMP_NAMES.index(name)], _CENTRE, stamps.size) for name in stamps.channels]
    return np.stack([nan_to_zero(scale_min_max(channel)) for channel in channels], axis=-1)
