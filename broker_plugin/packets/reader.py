"""One packet in, one `Alert` or `Rejected` out; nothing raises."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from broker_plugin.alert import Alert, AlertError, Identity, Reason, Rejected
from broker_plugin.packets import rubin, ztf
from broker_plugin.packets.container import MAGIC, ContainerDecoder
from broker_plugin.packets.fields import Fields, one_line
from broker_plugin.packets.gunzip import GZIP_MAGIC, gunzip
from broker_plugin.packets.limits import MAX_PACKET_BYTES, TooLargeError
from broker_plugin.packets.schemas import PacketSchema, make_schema
from broker_plugin.packets.wire import MAGIC_BYTE, SchemaRegistry, WireDecoder, named_schema

Packet = bytes | bytearray | memoryview | Mapping[str, Any] | Alert | Rejected
"""An alert as a broker has it."""

_SURVEYS = (ztf, rubin)


class PacketReader:
    """Reads packets of every known survey and container.

    Parameters
    ----------
    fields
        Fields of the detection to read, of any survey; None reads all of them.  What is not named is
        skipped in the packet without being built.
    history
        Whether to read the earlier detections that come with the alert.
    registry
        Where to ask for the schema of an id that lsst-alert-packet lacks.
    datum_schema
        Schema of packets that come as a bare Avro record with no header: an ``.avsc`` file or a name
        such as ``lsst.v10_0``.

    Raises
    ------
    ValueError
        ``datum_schema`` names no schema.
    """

    def __init__(
        self,
        fields: Iterable[str] | None = None,
        *,
        history: bool = True,
        registry: SchemaRegistry | None = None,
        datum_schema: str | None = None,
    ) -> None:
        names = None if fields is None else frozenset(fields)
        wanted: dict[str, Any] = {}
        for survey in _SURVEYS:
            wanted |= survey.wanted(names, history)
        wanted |= {field: {"stampData": True} for field in wanted if field.startswith("cutout")}
        self.wanted_columns = frozenset(wanted)
        self._containers = ContainerDecoder(wanted)
        self._wire = WireDecoder(wanted, registry)
        self._datum_schema = None if datum_schema is None else make_schema(named_schema(datum_schema), wanted)

    def read(self, packet: Packet, source: str | None = None) -> Alert | Rejected:
        """Read one packet that holds one alert.

        Parameters
        ----------
        packet
            Bytes off the wire (Avro container, Confluent wire format, either gzipped), a decoded dict, or
            what an earlier call returned.
        source
            Where it came from, for the record.

        Returns
        -------
        Alert or Rejected
            A rejection that has no id has the SHA-256 of the bytes as they were given, gzipped if they
            were, or of a dict's ``repr``: what is read of the packet does not change it.
        """
        if isinstance(packet, (Alert, Rejected)):
            return packet if _is_well_typed(packet.identity) else _told_apart(_ILL_TYPED, packet)
        return _told_apart(self._read(packet, source), packet)

    def read_row(self, row: Mapping[str, Any], source: str, schema_name: str = "") -> Alert | Rejected:
        """Read one of many alerts that came together, with no bytes of its own.

        A rejection has no digest: ``source``, which has to be of this row alone, tells it from others.
        """
        try:
            return self._alert(row, schema_name, source)
        except Exception as problem:  # noqa: BLE001 - as in `_read`
            return _rejected(source, problem)

    def _read(self, packet: object, source: str | None) -> Alert | Rejected:
        try:
            if isinstance(packet, Mapping):
                return self._alert(packet, "", source)
            data = self._plain_bytes(packet)
            if data[: len(MAGIC)] == MAGIC:
                return self._alert(*self._only_record(data), source)
            schema, record = self._message(data)
            return self._alert(record, schema.name, source)
        except Exception as problem:  # noqa: BLE001 - the last line: a packet may never raise out of the stage
            return _rejected(source, problem)

    def read_all(
        self, data: bytes | memoryview, source: str, received: bytes | memoryview | None = None
    ) -> Iterator[Alert | Rejected]:
        """Read a file's content: a container of any number of alerts, or one packet.

        A container that breaks off gives one `Rejected` for all that can't be read behind the break.

        Parameters
        ----------
        data
            The content.
        source
            Where it came from; of several alerts, all but the first have ``#1``, ``#2``, ... behind it.
        received
            The bytes that ``data`` was gunzipped from, if it was.  A rejected alert that came alone has
            their SHA-256; one of several is told by its source, as in `read_row`.
        """
        received = data if received is None else received
        if data[: len(MAGIC)] != MAGIC:
            yield _told_apart(self._read(data, source), received)
            return
        count = 0
        pending: Alert | Rejected | None = None  # held back until it is known whether it is the only one
        try:
            schema, records = self._containers.open(data)
            for record in records:
                if pending is not None:
                    yield pending
                pending = self.read_row(record, source if count == 0 else f"{source}#{count}", schema.name)
                count += 1
        except AlertError as problem:
            if pending is None:
                yield _told_apart(_rejected(source, problem), received)
            else:
                yield pending
                yield _rejected(f"{source}#{count}", problem)
            return
        if pending is None:
            pending = _rejected(source, AlertError(Reason.EMPTY_PACKET, "a container without a record"))
        yield pending if count > 1 else _told_apart(pending, received)

    def _plain_bytes(self, packet: object) -> bytes:
        if not isinstance(packet, (bytes, bytearray, memoryview)):
            raise AlertError(Reason.UNREADABLE, f"a {type(packet).__name__} is neither bytes, a dict nor an Alert")
        size = memoryview(packet).nbytes
        if size == 0:
            raise AlertError(Reason.EMPTY_PACKET, "a packet of no bytes")
        try:
            if size > MAX_PACKET_BYTES:
                raise TooLargeError(f"{size} bytes are more than {MAX_PACKET_BYTES}")
            data = bytes(packet)
            if data[:2] == GZIP_MAGIC:
                data = gunzip(data, MAX_PACKET_BYTES)
                if not data:
                    raise AlertError(Reason.EMPTY_PACKET, "a gzipped packet of no bytes")
        except TooLargeError as problem:
            raise AlertError(Reason.TOO_LARGE, f"packet: {problem}") from problem
        except ValueError as problem:
            raise AlertError(Reason.UNREADABLE, f"gzipped packet: {problem}") from problem
        return data

    def _only_record(self, data: bytes) -> tuple[dict[str, Any], str]:
        schema, records = self._containers.open(data, MAX_PACKET_BYTES)
        record = next(records, None)
        if record is None:
            raise AlertError(Reason.EMPTY_PACKET, "a container without a record")
        if next(records, None) is not None:
            raise AlertError(Reason.MULTIPLE_ALERTS, "a container of several alerts: read it as a file")
        return record, schema.name

    def _message(self, data: bytes) -> tuple[PacketSchema, dict[str, Any]]:
        if self._datum_schema is not None:
            return self._datum_schema, self._datum_schema.decode(data)
        if data[0] == MAGIC_BYTE:
            return self._wire.decode(data)
        raise AlertError(
            Reason.UNREADABLE, f"neither an Avro container nor the wire format: begins with {data[:8].hex(' ')}"
        )

    def _alert(self, record: Mapping[str, Any], schema_name: str, source: str | None) -> Alert | Rejected:
        for survey in _SURVEYS:
            if survey.claims(schema_name, record):
                identity, problem = survey.identify(record, schema_name, source)
                try:
                    if problem is not None:
                        raise problem
                    alert: Alert = survey.read(record, identity)
                    return alert
                except AlertError as error:
                    return Rejected(identity, error.reason, error.detail)
        return _of_other_survey(record, schema_name, source)


def _of_other_survey(record: Mapping[str, Any], schema_name: str, source: str | None) -> Rejected:
    fields = Fields(record)
    identity = Identity(
        alert_id=fields.optional_id("candid"),
        object_id=fields.optional_text("objectId"),
        input_schema=schema_name or None,
        source=source,
    )
    what = f"schema {schema_name}" if schema_name else "a dict"
    return Rejected(identity, Reason.UNSUPPORTED_SURVEY, f"{what} is neither ZTF's nor Rubin's")


@lru_cache(1)
def _identity_reader() -> PacketReader:
    return PacketReader(fields=(), history=False)


def identify(packet: Packet) -> tuple[Identity, str | None]:
    """Who a packet is, as far as it can be told, and its SHA-256 where it has no readable id.  Never raises."""
    result = _identity_reader().read(packet)
    return result.identity, result.digest if isinstance(result, Rejected) else None


def _rejected(source: str | None, problem: Exception) -> Rejected:
    if isinstance(problem, AlertError):
        return Rejected(Identity(source=source), problem.reason, problem.detail)
    return Rejected(Identity(source=source), Reason.UNREADABLE, one_line(problem))


def _is_well_typed(identity: Identity) -> bool:
    """Whether an identity that a caller may have made holds what it should: the records are built of it unchecked."""
    texts = (identity.survey, identity.object_id, identity.object_id_kind, identity.mjd_scale, identity.band)
    numbers = (identity.mjd, identity.ra_deg, identity.dec_deg)
    return (
        all(text is None or isinstance(text, str) for text in (*texts, identity.input_schema, identity.source))
        and all(number is None or isinstance(number, (int, float)) for number in numbers)
        and (identity.alert_id is None or isinstance(identity.alert_id, int))
    )


_ILL_TYPED = Rejected(Identity(), Reason.INVALID_FIELD, "an Alert whose identity is not of the types that it should be")


def _told_apart(result: Alert | Rejected, received: object) -> Alert | Rejected:
    """A rejection with the digest of what was received, unless it has a survey and an id to be told by."""
    if isinstance(result, Alert) or None not in (result.identity.survey, result.identity.alert_id):
        return result
    return replace(result, digest=digest_of(received))


def digest_of(packet: object) -> str:
    """SHA-256 of a packet's bytes, hexadecimal; of its ``repr`` where it is no bytes.  Never raises."""
    try:
        if isinstance(packet, memoryview) and not packet.contiguous:
            packet = bytes(packet)
        content = packet if isinstance(packet, (bytes, bytearray, memoryview)) else repr(packet).encode()
        return hashlib.sha256(content).hexdigest()
    except Exception:  # noqa: BLE001 - an object that can't be shown: nested without end, or a view of freed memory
        return hashlib.sha256(type(packet).__name__.encode()).hexdigest()
