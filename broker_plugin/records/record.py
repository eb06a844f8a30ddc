"""The classification record: one for each alert and classifier."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

SCHEMA_VERSION = "1.1"

# Namespace of the record ids: uuid5 of the project's name under the DNS namespace.
_RECORD_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "broker_plugin.records")


@dataclass(frozen=True, slots=True)
class Classification:
    """One class and its probability."""

    class_name: str
    probability: float


@dataclass(frozen=True, slots=True)
class ClassificationRecord:
    """What one classifier says of one alert.

    The fields are those of ``schemas/classification/1.1.avsc``, whose docs are the reference.
    """

    schema_version: str
    record_id: str
    survey: str | None
    alert_id: int | None
    object_id: str | None
    object_id_kind: str | None
    mjd: float | None
    mjd_scale: str | None
    ra: float | None
    dec: float | None
    band: str | None
    status: str
    reason: str | None
    detail: str | None
    classifier_name: str
    classifier_version: str
    kind: str
    model_sha256: str | None
    preprocessing_version: str | None
    precision: str | None
    taxonomy: str | None
    taxonomy_version: str | None
    classifications: tuple[Classification, ...]
    class_name: str | None
    class_probability: float | None
    novelty: float | None
    detections_used: int
    stamps_used: int
    imputed_features: tuple[str, ...]
    allwise: str | None
    input_schema: str | None
    source: str | None
    packet_sha256: str | None
    produced_at: datetime
    broker_plugin_version: str

    def probability(self, class_name: str) -> float:
        """Probability of one class.

        Raises
        ------
        KeyError
            The record has no such class; a record whose status is not ``ok`` has none at all.
        """
        for item in self.classifications:
            if item.class_name == class_name:
                return item.probability
        raise KeyError(class_name)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain types, ready for an Avro writer."""
        plain = {name: getattr(self, name) for name in _FIELD_NAMES}
        plain["classifications"] = [
            {"class_name": c.class_name, "probability": c.probability} for c in self.classifications
        ]
        plain["imputed_features"] = list(self.imputed_features)
        return plain


_FIELD_NAMES = tuple(f.name for f in fields(ClassificationRecord))


def make_record_id(
    alert_key: str, classifier: str, version: str, model_sha256: str | None, *, detections_key: str | None = None
) -> str:
    """The id of the record of one alert by one model: the same input gives the same id, anywhere.

    Parameters
    ----------
    alert_key
        ``survey:alert_id``, or the packet's SHA-256 where it has no readable id.
    detections_key
        A text that stands for the set of detections, where the model saw more than the alert.
    """
    subject = (alert_key,) if detections_key is None else (alert_key, detections_key)
    name = "\x1f".join((*subject, classifier, version, model_sha256 or ""))
    # What str(uuid.uuid5(_RECORD_NAMESPACE, name)) gives, in a third of the time: every record has one.
    sha1 = hashlib.sha1(_RECORD_NAMESPACE.bytes + name.encode("utf-8"), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(sha1[16], 16) & 3]
    return f"{sha1[:8]}-{sha1[8:12]}-5{sha1[13:16]}-{variant}{sha1[17:20]}-{sha1[20:32]}"
