"""Labelled alerts: packets joined with a table of labels."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from broker_plugin.alert import Alert
from broker_plugin.bundles import FeatureSpec
from broker_plugin.packets import PacketFiles, PacketReader
from broker_plugin.tensors import needed_fields, needs_history

STRONG_TRUST = (1, 2)
"""Trust in labels of a spectrum or a known solar-system object, and of a catalogue."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of one alert.

    Attributes
    ----------
    object_id
        Alerts of one object must stand on the same side of every split.
    split
        ``train``, ``test``, or empty where the table makes none.
    trust
        1 strong (spectrum, known solar-system object), 2 catalogue, 3 weak (another classifier's word).
    doctored_metadata
        The packet's metadata were changed by somebody; its stamps can be learned from, its numbers can't.
    source
        Who says so: a catalogue, another classifier.  Empty where the table does not tell.
    dataset
        Where the packet is from, as the table's column ``survey`` has it, which is finer than `Identity.survey`.
    """

    class_name: str
    object_id: str
    split: str = ""
    trust: int = 1
    doctored_metadata: bool = False
    source: str = ""
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled alerts of one survey."""

    alerts: list[Alert]
    labels: list[Label]

    def where(self, keep: Iterable[bool]) -> Examples:
        """Those for which ``keep`` is true."""
        chosen = [i for i, wanted in enumerate(keep) if wanted]
        return Examples([self.alerts[i] for i in chosen], [self.labels[i] for i in chosen])


def read_labels(path: Path) -> dict[int, Label]:
    """A table of labels by alert id.

    Columns ``candid`` (or ``alert_id``) and ``label`` are needed; ``object_id``, ``split``, ``label_trust``,
    ``doctored_metadata``, ``label_source`` and ``survey`` are used where present.  Rows without a label are passed
    over.

    Raises
    ------
    ValueError
        A needed column is missing, or a row can't be read; the message names the row.
    """
    labels: dict[int, Label] = {}
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        columns = table.fieldnames or ()
        id_column = next((name for name in ("candid", "alert_id") if name in columns), None)
        if id_column is None or "label" not in columns:
            raise ValueError(f"{path}: needs the columns candid (or alert_id) and label; it has {', '.join(columns)}")
        for number, row in enumerate(table, start=2):
            if not row["label"]:
                continue
            try:
                labels[int(row[id_column])] = Label(
                    class_name=row["label"],
                    object_id=row.get("object_id") or row[id_column],
                    split=row.get("split") or "",
                    trust=int(row.get("label_trust") or 1),
                    doctored_metadata=(row.get("doctored_metadata") or "").lower() == "true",
                    source=row.get("label_source") or "",
                    dataset=row.get("survey") or "",
                )
            except ValueError as problem:
                raise ValueError(f"{path}, line {number}: {problem}") from problem
    return labels


def labelled_surveys(paths: Sequence[Path], labels: Mapping[int, Label]) -> Counter[str]:
    """How many labelled alerts of each survey the packets hold."""
    files = PacketFiles(paths, PacketReader(fields=(), history=False))
    alerts = (packet for packet in files if isinstance(packet, Alert) and packet.identity.alert_id in labels)
    return Counter(str(alert.identity.survey) for alert in alerts)


def load_examples(
    paths: Sequence[Path], labels: Mapping[int, Label], survey: str, features: Sequence[FeatureSpec]
) -> Examples:
    """The labelled alerts among the packets of ``paths``; one that is met twice is taken once."""
    reader = PacketReader(needed_fields(features), history=needs_history(features))
    found: dict[int, Alert] = {}
    for alert in PacketFiles(paths, reader):
        alert_id = alert.identity.alert_id
        if alert_id is not None and alert_id in labels and isinstance(alert, Alert) and alert.identity.survey == survey:
            found.setdefault(alert_id, alert)
    return Examples(list(found.values()), [labels[alert_id] for alert_id in found])
