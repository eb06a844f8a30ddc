"""Whether novelty is high for what is unlike the training data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from broker_plugin.alert import Alert
from broker_plugin.evaluation.answers import Answers, Features, Stamps
from broker_plugin.evaluation.spoilt import SPOILINGS
from broker_plugin.packets import PacketFiles, PacketReader
from broker_plugin.tensors import make_batch, needed_fields, needs_history


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
    """The novelty of spoilt alerts: stamps spoilt in each way of `spoilt.SPOILINGS`, beside the alert's own metadata.

    None of it where the bundle tells no novelty.
    """
    if answers.novelty is None:
        return []
    rng = np.random.default_rng(seed)
    stamps = answers.stamps
    return [
        _strange(name, answers, spoil(stamps, answers.manifest, rng), answers.features)
        for name, spoil in SPOILINGS.items()
    ]


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
