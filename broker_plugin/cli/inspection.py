"""What there is to say of one packet: found in its file, its stamps read, its classifiers asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from broker_plugin.alert import STAMP_NAMES, Alert, AlertError, Rejected
from broker_plugin.bundles import Bundle
from broker_plugin.cli.problems import UsageProblem
from broker_plugin.packets import Image, MissingExtraError, PacketFiles, PacketReader, Planes, decode_planes, read_stamp
from broker_plugin.records.record import ClassificationRecord

PIXEL_ARCSEC = {"ztf": 1.01, "rubin": 0.2}
"""Size of a pixel: Masci et al. 2019, PASP 131, 018003; Ivezic et al. 2019, ApJ 873, 111."""

FLUX_UNIT = {"ztf": "DN", "rubin": "nJy"}


@dataclass(frozen=True, slots=True)
class Inspection:
    """A packet and what is known of it.

    Attributes
    ----------
    has_neighbours
        Whether its file holds others.
    stamps
        By name, in the order of `STAMP_NAMES`, each as an image or as what is wrong with it; empty for a packet
        that could not be read.
    planes
        Of Rubin's science stamp: variance, PSF, the direction of north.
    bundles
        The classifiers of its survey.
    records
        Their answers; None where they were not asked.
    """

    packet: Alert | Rejected
    has_neighbours: bool
    stamps: Mapping[str, Image | AlertError]
    planes: Planes | None
    bundles: Sequence[Bundle]
    records: Sequence[ClassificationRecord] | None


def find_packet(name: str, index: int | None, reader: PacketReader) -> tuple[Alert | Rejected, bool]:
    """The packet that ``name`` means, and whether its file holds others.

    Parameters
    ----------
    name
        A file; ``FILE#N`` for the packet of number N, from 0; or the ``source`` of a record
        (``night.tar/123.avro``).
    index
        Number of the packet in the file, from 0.

    Raises
    ------
    UsageProblem
        There is no such file, or no such packet in it.
    """
    path, rest = _file_of(name)
    head, hash_sign, number = rest.rpartition("#")
    if hash_sign and not head and number.isdigit():
        if index is not None and index != int(number):
            raise UsageProblem(f"{name} and --index {index} are two packets: give one of them")
        index, rest = int(number), ""
    if rest and index is not None:
        raise UsageProblem(f"{name} names one packet already: leave --index out")
    packets = _packets_of(path, reader)
    count = 0
    try:
        for count, packet in enumerate(packets, 1):
            if packet.identity.source == name if rest else count - 1 == (index or 0):
                return packet, count > 1 or next(packets, None) is not None
    except MissingExtraError as problem:
        raise UsageProblem(str(problem)) from problem
    if rest:
        raise UsageProblem(f"{path} holds no packet {rest.lstrip('/')!r}; it holds {count}")
    if count == 0:
        raise UsageProblem(f"{path} holds no packet")
    raise UsageProblem(f"{path} holds {count} packets, numbered from 0: there is no number {index}")


def _packets_of(path: Path, reader: PacketReader) -> Iterator[Alert | Rejected]:
    if path.is_dir():
        raise UsageProblem(f"{path} is a folder: name one file in it, or use 'broker-plugin classify'")
    return iter(PacketFiles([path], reader))


def _file_of(name: str) -> tuple[Path, str]:
    """The file that a name begins with, and the rest of the name."""
    if Path(name).exists():
        return Path(name), ""
    for at in range(len(name) - 1, 0, -1):
        if name[at] in "#/" and Path(name[:at]).is_file():
            return Path(name[:at]), name[at:]
    raise UsageProblem(f"{name}: no such file")


def read_stamps(alert: Alert) -> dict[str, Image | AlertError]:
    """Each stamp as an image, or what is wrong with it."""
    stamps: dict[str, Image | AlertError] = {}
    for name in STAMP_NAMES:
        try:
            stamps[name] = read_stamp(alert, name)
        except AlertError as problem:
            stamps[name] = problem
    return stamps


def read_planes(alert: Alert) -> Planes | None:
    """What else Rubin's science stamp holds; None for other surveys, and where it can't be read."""
    raw = alert.cutouts.get(STAMP_NAMES[0])
    if alert.identity.survey != "rubin" or raw is None:
        return None
    try:
        return decode_planes(raw)
    except AlertError:
        return None  # what is wrong is told with the stamp


def psf_fwhm_pixels(psf: np.ndarray) -> float:
    """Full width at half maximum of a PSF, in pixels: the diameter of a circle as large as its upper half."""
    return float(2.0 * np.sqrt((psf >= 0.5 * psf.max()).sum() / np.pi))


def as_json(seen: Inspection) -> dict[str, Any]:
    """All of it as plain types, without the pixels."""
    identity = seen.packet.identity
    plain: dict[str, Any] = {name: getattr(identity, name) for name in type(identity).__slots__}
    if isinstance(seen.packet, Rejected):
        plain |= {"rejected": {"reason": seen.packet.reason.value, "detail": seen.packet.detail}}
    else:
        plain |= {
            "values": dict(seen.packet.values),
            "history": {
                "detections": len(seen.packet.history),
                "upper_limits": seen.packet.non_detections,
                "problem": seen.packet.history_problem,
            },
            "stamps": {name: _stamp_json(stamp) for name, stamp in seen.stamps.items()},
        }
    if seen.planes is not None:
        variance, psf = seen.planes.variance, seen.planes.psf
        plain["science_planes"] = {
            "variance_median_njy2": None if variance is None else float(np.nanmedian(variance)),
            "psf_shape": None if psf is None else list(psf.shape),
            "psf_fwhm_pixels": None if psf is None else psf_fwhm_pixels(psf),
            "north_deg": seen.planes.north_deg,
        }
    plain["bundles"] = [bundle.manifest.label for bundle in seen.bundles]
    if seen.records is not None:
        plain["records"] = [
            record.to_dict() | {"produced_at": record.produced_at.isoformat()} for record in seen.records
        ]
    return plain


def _stamp_json(stamp: Image | AlertError) -> dict[str, Any]:
    if isinstance(stamp, AlertError):
        return {"reason": stamp.reason.value, "detail": stamp.detail}
    finite = stamp.pixels[np.isfinite(stamp.pixels)]
    return {
        "shape": list(stamp.pixels.shape),
        "centre": list(stamp.centre),
        "finite_pixels": int(finite.size),
        "minimum": float(finite.min()) if finite.size else None,
        "median": float(np.median(finite)) if finite.size else None,
        "maximum": float(finite.max()) if finite.size else None,
    }
