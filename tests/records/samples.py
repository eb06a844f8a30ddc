"""Records to test with."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from broker_plugin.alert import Identity, Reason
from broker_plugin.records.build import Producer, classified, unclassified
from broker_plugin.records.record import ClassificationRecord

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=timezone.utc)
PROBABILITIES = (0.05, 0.7, 0.1, 0.1, 0.05)

IDENTITY = Identity(
    survey="ztf",
    alert_id=2_345_678_901_234_567_891,  # odd and beyond 2**53: a double would round it
    object_id="ZTF18abcdefg",
    object_id_kind="ztf_object_id",
    mjd=60000.123456,
    mjd_scale="utc",
    ra_deg=123.456789,
    dec_deg=-12.3456789,
    band="g",
    input_schema="ztf.alert 4.02",
    source="night.tar/123.avro",
)
PRODUCER = Producer(
    name="stamp",
    version="1.12.3",
    model_sha256="0123456789abcdef" * 4,
    preprocessing_version="1.0",
    taxonomy="alerce-stamp",
    taxonomy_version="1.0",
    precision="float32",
    classes=("AGN", "SN", "VS", "asteroid", "bogus"),
)


def make_classified(**changes: Any) -> ClassificationRecord:
    """A good record; arguments replace parts of its identity."""
    return classified(
        replace(IDENTITY, **changes),
        PRODUCER,
        PROBABILITIES,
        novelty=1.5,
        detections_used=1,
        stamps_used=3,
        imputed_features=("sgscore1", "distpsnr1"),
        produced_at=NOW,
    )


def make_unclassified(reason: Reason = Reason.UNREADABLE, detail: str = "7 bytes are too few") -> ClassificationRecord:
    """The record of a packet of which nothing is known: null wherever null may be."""
    producer = Producer("broker-plugin", "0.1.0", kind="stage")
    return unclassified(Identity(), producer, reason, detail, produced_at=NOW, digest="ab" * 32)


def make_temporal(*, detections_key: str = "17+,18-", allwise: str | None = "none_there") -> ClassificationRecord:
    """A record of all detections of the object."""
    return classified(
        IDENTITY,
        replace(PRODUCER, name="temporal", kind="temporal"),
        PROBABILITIES,
        novelty=None,
        detections_used=2,
        stamps_used=3,
        imputed_features=(),
        produced_at=NOW,
        allwise=allwise,
        detections_key=detections_key,
    )


def edited(**changes: Any) -> dict[str, Any]:
    """A good record as a dict, with some fields replaced."""
    return {**make_classified().to_dict(), **changes}
