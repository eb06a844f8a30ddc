"""Making records: the only place where a `ClassificationRecord` comes from."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime

from broker_plugin._version import __version__
from broker_plugin.alert import AlertError, Identity, Reason
from broker_plugin.records.record import SCHEMA_VERSION, Classification, ClassificationRecord, make_record_id

MAX_DETAIL = 500
"""Longest ``detail``, characters."""
PROBABILITY_TOLERANCE = 1e-6
"""How far from 1 the probabilities of a record may sum."""

_MAX_NAME = 200
_MAX_SOURCE = 4096  # the longest path that Linux opens
_LONG = 2**63

# What can break a terminal, a log or an encoder: C0 and C1 controls, invisible and direction-changing
# characters, line separators, tags, and lone surrogates, which have no UTF-8.  A fixed list, because
# str.isprintable changes with Python's Unicode tables.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
# Asking an Enum for its value costs more than this table.
_WORDS = {reason: (reason.status.value, reason.value) for reason in Reason}


@dataclass(frozen=True, slots=True)
class Producer:
    """Who speaks in a record: a classifier with its model, or the stage on its own behalf.

    Attributes
    ----------
    name, version
        Name and semantic version of the classifier or the stage.
    model_sha256
        SHA-256 of the model, hexadecimal; None for the stage, like all that follows.
    preprocessing_version
        Version of the preprocessing that the bundle declares.
    taxonomy, taxonomy_version
        The taxonomy that the class names come from.
    precision
        Number format that the model is run in.
    classes
        Names of the classes, in the order of the model's output.
    kind
        ``stamp`` or ``temporal``, by what the classifier looks at; ``stage`` for the stage.
    """

    name: str
    version: str
    model_sha256: str | None = None
    preprocessing_version: str | None = None
    taxonomy: str | None = None
    taxonomy_version: str | None = None
    precision: str | None = None
    classes: tuple[str, ...] = ()
    kind: str = "stamp"


def classified(
    identity: Identity,
    producer: Producer,
    probabilities: Sequence[float],
    *,
    novelty: float | None,
    detections_used: int,
    stamps_used: int,
    imputed_features: tuple[str, ...],
    produced_at: datetime,
    allwise: str | None = None,
    detections_key: str | None = None,
) -> ClassificationRecord:
    """The record of an alert that a model has classified.

    Parameters
    ----------
    identity, producer
        Which alert, and who classified it.
    probabilities
        One for each of ``producer.classes``, in that order; shape (classes,).
    novelty
        How unlike the training data the input is; see the schema.
    detections_used, stamps_used
        How many the model saw, this alert's included.
    imputed_features
        What the packet lacks and the bundle filled in.
    produced_at
        When, with its time zone.
    allwise
        What came of the look-up in AllWISE, a word of the schema; None where the model does not use AllWISE.
    detections_key
        A text that stands for the set of detections that a temporal model saw: equal for equal sets, in whatever
        order they came, and different for others.  It enters the record's id.

    Raises
    ------
    AlertError
        ``non_finite_output`` where a number isn't finite; ``plugin_failed`` where the numbers are no
        probabilities: outside 0 to 1, or with a sum that isn't 1 within `PROBABILITY_TOLERANCE`.
        Nothing is mended here, because a reader could not tell.
    ValueError
        The number of probabilities isn't that of the classes, or ``produced_at`` has no time zone.
    """
    classes = producer.classes
    values = [float(p) for p in probabilities]
    if len(values) != len(classes) or not values:
        raise ValueError(f"{producer.name} has {len(classes)} classes, but gave {len(values)} probabilities")
    if not all(map(math.isfinite, values)) or (novelty is not None and not math.isfinite(novelty)):
        raise AlertError(Reason.NON_FINITE_OUTPUT, f"{producer.name} gave probabilities {values}, novelty {novelty}")
    highest = max(values)
    if min(values) < 0.0 or highest > 1.0 or abs(math.fsum(values) - 1.0) > PROBABILITY_TOLERANCE:
        raise AlertError(
            Reason.PLUGIN_FAILED, f"{producer.name} gave {values}, which are no probabilities that sum to 1"
        )
    return _record(
        identity,
        producer,
        status="ok",
        reason=None,
        detail=None,
        digest=None,
        classifications=tuple(map(Classification, classes, values)),
        class_name=classes[values.index(highest)],
        class_probability=highest,
        novelty=None if novelty is None else float(novelty),
        detections_used=detections_used,
        stamps_used=stamps_used,
        imputed_features=imputed_features,
        allwise=allwise,
        produced_at=produced_at,
        detections_key=detections_key,
    )


def unclassified(
    identity: Identity,
    producer: Producer,
    reason: Reason,
    detail: str,
    *,
    produced_at: datetime,
    digest: str | None = None,
    detections_key: str | None = None,
) -> ClassificationRecord:
    """The record of an alert that could not be classified.

    Parameters
    ----------
    identity, producer
        Which alert, as far as it is known, and who speaks.
    reason
        Gives the status too.
    detail
        One sentence that names the field.  May quote the packet: it is cut to `MAX_DETAIL` characters and
        control characters are shown as escapes.
    produced_at
        When, with its time zone.
    digest
        SHA-256 of the packet, hexadecimal, where it has no id to be told by.
    detections_key
        As for `classified`, where the detections are known.

    Raises
    ------
    ValueError
        ``produced_at`` has no time zone.
    """
    status, word = _WORDS[reason]
    return _record(
        identity,
        producer,
        status=status,
        reason=word,
        detail=_harmless(detail, MAX_DETAIL),
        digest=digest,
        classifications=(),
        class_name=None,
        class_probability=None,
        novelty=None,
        detections_used=0,
        stamps_used=0,
        imputed_features=(),
        allwise=None,
        produced_at=produced_at,
        detections_key=detections_key,
    )


def _record(
    identity: Identity,
    producer: Producer,
    *,
    status: str,
    reason: str | None,
    detail: str | None,
    digest: str | None,
    classifications: tuple[Classification, ...],
    class_name: str | None,
    class_probability: float | None,
    novelty: float | None,
    detections_used: int,
    stamps_used: int,
    imputed_features: tuple[str, ...],
    allwise: str | None,
    produced_at: datetime,
    detections_key: str | None,
) -> ClassificationRecord:
    if produced_at.tzinfo is None:
        raise ValueError("produced_at has no time zone")
    survey = _harmless(identity.survey, _MAX_NAME)
    alert_id = identity.alert_id
    if alert_id is not None and not -_LONG <= alert_id < _LONG:
        alert_id = None  # no survey's id, and no format below can hold it
    return ClassificationRecord(
        SCHEMA_VERSION,
        make_record_id(
            _alert_key(identity, survey, alert_id, digest),
            producer.name,
            producer.version,
            producer.model_sha256,
            detections_key=detections_key,
        ),
        survey,
        alert_id,
        _harmless(identity.object_id, _MAX_NAME),
        _harmless(identity.object_id_kind, _MAX_NAME),
        _finite(identity.mjd),
        _harmless(identity.mjd_scale, _MAX_NAME),
        _finite(identity.ra_deg),
        _finite(identity.dec_deg),
        _harmless(identity.band, _MAX_NAME),
        status,
        reason,
        detail,
        producer.name,
        producer.version,
        producer.kind,
        producer.model_sha256,
        producer.preprocessing_version,
        producer.precision,
        producer.taxonomy,
        producer.taxonomy_version,
        classifications,
        class_name,
        class_probability,
        novelty,
        detections_used,
        stamps_used,
        imputed_features,
        allwise,
        _harmless(identity.input_schema, _MAX_NAME),
        _harmless(identity.source, _MAX_SOURCE),
        digest,
        produced_at,
        __version__,
    )


def _alert_key(identity: Identity, survey: str | None, alert_id: int | None, digest: str | None) -> str:
    """What stands for the alert in its record's id."""
    if survey is not None and alert_id is not None:
        return f"{survey}:{alert_id}"
    if digest is not None:
        return digest
    # The source alone where there is one: what else could be read of a packet may change with the reader.
    known = repr(identity.source if identity.source is not None else astuple(replace(identity, alert_id=alert_id)))
    return "sha256:" + hashlib.sha256(known.encode("utf-8", "backslashreplace")).hexdigest()


def _finite(value: float | None) -> float | None:
    """NaN and infinity say no more than null does, and most readers refuse them."""
    return value if value is None or math.isfinite(value) else None


def _harmless(text: str | None, limit: int) -> str | None:
    """Text out of a packet, bounded, and without characters that do something to a terminal or a log."""
    if text is None or (len(text) <= limit and text.isascii() and text.isprintable()):
        return text
    shown = _HARMFUL.sub(_escape, text[:limit])
    whole = len(text) <= limit and len(shown) <= limit
    return shown if whole else shown[: limit - 1] + "…"


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
