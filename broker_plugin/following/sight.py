"""What alerts add to what is known of objects: their detections as models want them, AllWISE looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from broker_plugin.alert import Alert, AlertError, Identity, Reason, Rejected
from broker_plugin.crossmatch import Match, NotLookedUp, Position, Sources
from broker_plugin.following.updates import Fields, ReadUpdate
from broker_plugin.history import ObjectKey, RememberedDetection
from broker_plugin.history.detection import encode
from broker_plugin.packets.fields import one_line
from broker_plugin.tensors.sequences import DetectionForm

Detections = tuple[RememberedDetection, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one alert adds to what is known of its object.

    Attributes
    ----------
    object
        Which; or why it adds nothing.
    not_looked_up
        Why nobody knows its counterpart in AllWISE, if that is so.
    """

    identity: Identity
    object: ObjectKey | AlertError
    detections: Detections = ()
    not_looked_up: NotLookedUp | None = None


class Sight:
    """Looks at alerts for temporal classifiers.

    Parameters
    ----------
    forms
        How detections are prepared, by survey.
    allwise
        Where counterparts are looked up, for forms that have them.
    allwise_timeout_s
        How long the look-ups of a batch may take; None: as long as it takes.
    """

    def __init__(self, forms: Mapping[str, DetectionForm], allwise: Sources, allwise_timeout_s: float | None) -> None:
        self._forms = forms
        self._allwise = allwise
        self._allwise_timeout_s = allwise_timeout_s

    def of_batch(self, packets: Sequence[Alert | Rejected], fields: Sequence[Fields]) -> dict[int, Seen]:
        """What each readable alert of the classifiers' surveys adds."""
        seen: dict[int, Seen] = {}
        keys: dict[int, ObjectKey] = {}
        for row, alert in enumerate(packets):
            if not isinstance(alert, Alert) or alert.identity.survey not in self._forms:
                continue
            try:
                keys[row] = _object_of(alert)
            except AlertError as problem:
                seen[row] = Seen(alert.identity, problem)
        alerts = [alert for row, alert in enumerate(packets) if row in keys and isinstance(alert, Alert)]
        some = self._see(alerts, list(keys.values()), [fields[row] for row in keys])
        return seen | dict(zip(keys, some, strict=True))

    def of_updates(self, updates: Mapping[int, ReadUpdate]) -> dict[int, list[Seen]]:
        """What each alert adds to the object whose update it came with."""
        seen: dict[int, list[Seen]] = {row: [] for row in updates}
        rows, alerts, fields = [], [], []
        for row, update in updates.items():
            for packet, of_packet in zip(update.packets, update.fields, strict=True):
                try:
                    alert = _readable(packet, update.key.survey)
                except AlertError as problem:
                    seen[row].append(Seen(packet.identity, problem))
                else:
                    rows.append(row)
                    alerts.append(alert)
                    fields.append(of_packet)
        for row, of in zip(rows, self._see(alerts, [updates[row].key for row in rows], fields), strict=True):
            seen[row].append(of)
        return seen

    def _see(self, alerts: Sequence[Alert], keys: Sequence[ObjectKey], fields: Sequence[Fields]) -> list[Seen]:
        """What alerts add to these objects, of several surveys."""
        matches = self._matches(alerts, fields)
        seen: dict[int, Seen] = {}
        for survey, form in self._forms.items():
            rows = [row for row, key in enumerate(keys) if key.survey == survey]
            here = [alerts[row] for row in rows]
            kept_of = _kept(form, here, [matches.get(row) for row in rows])
            for row, kept in zip(rows, kept_of, strict=True):
                identity = alerts[row].identity
                if isinstance(kept, AlertError):
                    seen[row] = Seen(identity, kept)
                else:
                    why = matches[row].not_looked_up if row in matches else None
                    seen[row] = Seen(identity, keys[row], kept, why)
        return [seen[row] for row in range(len(alerts))]

    def _matches(self, alerts: Sequence[Alert], fields: Sequence[Fields]) -> dict[int, Match]:
        """AllWISE counterparts of the alerts whose classifiers look at them.  All share the time."""
        rows = [row for row, alert in enumerate(alerts) if self._forms[str(alert.identity.survey)].uses_allwise]
        identities = [alerts[row].identity for row in rows]
        matches = self._allwise.match(
            [Position(identity.ra_deg, identity.dec_deg, identity.mjd) for identity in identities],
            fields=[fields[row] for row in rows],
            timeout_s=self._allwise_timeout_s,
        )
        return dict(zip(rows, matches, strict=True))


def _object_of(alert: Alert) -> ObjectKey:
    """The object of the static sky that an alert is of.

    Raises
    ------
    AlertError
        ``no_object``: there is none.  Else the alert, made by a caller, lacks what a detection has to have.
    """
    identity = alert.identity
    if identity.object_id is None:
        raise AlertError(Reason.NO_OBJECT, "the packet names no object")
    try:
        key = ObjectKey(str(identity.survey), identity.object_id)
    except ValueError as problem:
        raise AlertError(Reason.INVALID_FIELD, str(problem)) from problem
    _readable(alert, key.survey)
    return key


def _readable(packet: Alert | Rejected, survey: str) -> Alert:
    """A packet that came for an object of a survey, if it can be a detection of it."""
    identity = packet.identity
    if isinstance(packet, Rejected):
        raise AlertError(packet.reason, packet.detail)
    if identity.survey != survey:
        raise AlertError(Reason.INVALID_FIELD, f"an alert of {identity.survey} came with an object of {survey}")
    if identity.object_id_kind == "ss_object_id":
        raise AlertError(Reason.NO_OBJECT, "the packet's object is of the solar system, and has no place on the sky")
    if identity.alert_id is None or identity.mjd is None:
        raise AlertError(Reason.MISSING_FIELD, "the alert has no id or no time")
    return packet


def _kept(
    form: DetectionForm, alerts: Sequence[Alert], matches: Sequence[Match | None]
) -> list[Detections | AlertError]:
    """What is to be remembered of alerts of one survey; nothing raises, whatever a caller's own `Alert` holds."""
    try:
        return _storable(form, alerts, matches)
    except Exception as problem:  # noqa: BLE001 - the last line: one alert may never cost the others
        if len(alerts) == 1:
            return [AlertError(Reason.INVALID_FIELD, f"the detection can't be kept: {one_line(problem)}")]
        return [kept for row, alert in enumerate(alerts) for kept in _kept(form, [alert], [matches[row]])]


def _storable(
    form: DetectionForm, alerts: Sequence[Alert], matches: Sequence[Match | None]
) -> list[Detections | AlertError]:
    with_matches = [
        alert if match is None else replace(alert, values={**alert.values, **match.fields()})
        for alert, match in zip(alerts, matches, strict=True)
    ]
    kept, problems = form.of_alerts(with_matches)
    for detection in (detection for detections in kept for detection in detections):
        encode(detection)  # raises for what no store can hold, before it costs the whole batch
    return [problems.get(row, detections) for row, detections in enumerate(kept)]
