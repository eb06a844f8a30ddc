"""Whether novelty is high for what is unlike the training data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from broker_plugin.alert import Alert
from broker_plugin.bundles import Manifest
from broker_plugin.evaluation.answers import Answers, Features, Stamps
from broker_plugin.packets import PacketFiles, PacketReader
from broker_plugin.tensors import make_batch, needed_fields, needs_history
from broker_plugin.tensors.stamps import scale_min_max, scale_noise


@dataclass(frozen=True)
class Strange:
    """Alerts that are unlike the training data.

    Attributes
    ----------
    novelty
        Of each.
    area
        Under the receiver operating characteristic, against the labelled alerts: the chance that a strange one has the
        higher novelty of the two.
    refused
        Packets that did not come as far as the network.
    """

    name: str
    novelty: tuple[float, ...]
    area: float
    refused: int = 0


def nonsense(answers: Answers, seed: int = 1) -> list[Strange]:
    """The novelty of spoilt alerts: stamps shuffled, exchanged and invented, each beside the alert's own metadata.

    None of it where the bundle tells no novelty.
    """
    if answers.novelty is None:
        return []
    rng = np.random.default_rng(seed)
    stamps = answers.stamps
    made = {
        "pixels shuffled": _shuffled_pixels(stamps, rng),
        "each stamp of another alert": _exchanged(stamps, rng),
        "noise with random shapes": _invented(stamps.shape, answers.manifest, rng),
    }
    return [_strange(name, answers, spoilt, answers.features) for name, spoilt in made.items()]


def others(answers: Answers, path: Path) -> Strange | None:
    """The novelty of the packets in a file or folder that are not among the labelled ones.

    Those of another survey are read with the tensors of the bundle: what it calls its features is then mostly missing.
    None where there is no packet, or the bundle tells no novelty.
    """
    if answers.novelty is None:
        return None
    manifest = answers.manifest
    reader = PacketReader(needed_fields(manifest.features), history=needs_history(manifest.features))
    known = {alert.identity.alert_id for alert in answers.examples.alerts}
    packets = [packet for packet in PacketFiles([path], reader) if packet.identity.alert_id not in known]
    if not packets:
        return None
    alerts = [packet for packet in packets if isinstance(packet, Alert)]
    batch = make_batch(alerts, manifest)
    good = [row for row in range(len(alerts)) if row not in batch.problems]
    refused = len(packets) - len(good)
    return _strange(
        f"packets of {Path(*path.resolve().parts[-2:])}", answers, batch.stamps[good], batch.features[good], refused
    )


def _strange(name: str, answers: Answers, stamps: Stamps, features: Features, refused: int = 0) -> Strange:
    usual = np.asarray(answers.novelty, dtype=np.float64)
    novelty = np.asarray(answers.model.predict(stamps, features).novelty, dtype=np.float64)
    if not len(novelty):
        return Strange(name, (), float("nan"), refused)
    is_strange = np.repeat([False, True], [len(usual), len(novelty)])
    area = float(roc_auc_score(is_strange, np.concatenate([usual, novelty])))
    return Strange(name, tuple(novelty.tolist()), area, refused)


def _shuffled_pixels(stamps: Stamps, rng: np.random.Generator) -> Stamps:
    n, rows, columns, channels = stamps.shape
    return np.asarray(rng.permuted(stamps.reshape(n, rows * columns, channels), axis=1).reshape(stamps.shape))


def _exchanged(stamps: Stamps, rng: np.random.Generator) -> Stamps:
    exchanged = [stamps[rng.permutation(len(stamps)), ..., channel] for channel in range(stamps.shape[-1])]
    return np.stack(exchanged, axis=-1)


def _invented(shape: tuple[int, ...], manifest: Manifest, rng: np.random.Generator) -> Stamps:
    """Gaussian noise with one to six discs, bars and rings of random place, size and sign in each stamp."""
    n, side, _, channels = shape
    scale: Mapping[str, Callable[[Stamps], Stamps]] = {"scale_min_max": scale_min_max, "scale_noise": scale_noise}
    (scaled,) = (scale[step] for step in manifest.stamps.steps if step in scale)
    made = np.empty(shape, dtype=np.float32)
    for image in np.ndindex(n, channels):
        pixels = rng.normal(size=(side, side)).astype(np.float32)
        for _ in range(rng.integers(1, 7)):
            pixels[_shape(side, rng)] += rng.choice([-1.0, 1.0]) * rng.lognormal(3.0, 1.5)
        made[image[0], :, :, image[1]] = scaled(pixels)
    return made


def _shape(side: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    y, x = np.mgrid[:side, :side] - rng.uniform(0.0, side, (2, 1, 1))
    size = rng.uniform(1.0, side / 4.0)
    kind = rng.integers(3)
    if kind == 0:
        return np.asarray(np.hypot(x, y) < size)
    if kind == 1:
        return np.asarray(np.abs(np.hypot(x, y) - size) < 1.5)
    angle = rng.uniform(0.0, np.pi)
    return np.asarray(np.abs(x * np.sin(angle) - y * np.cos(angle)) < size / 4.0)
