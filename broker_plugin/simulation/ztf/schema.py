"""The ZTF alert schema, version 4.02, and the container that packets come in.

Field names, types and meanings: https://zwickytransientfacility.github.io/ztf-avro-alert/schema.html
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from typing import Any

import fastavro

VERSION = "4.02"
_MARKER_BYTES = 16

# In these tables a `?` marks a field that may be null and defaults to it, a `~` one without a default that may be null.
_CANDIDATE_FIELDS = """
jd:double fid:int pid:long diffmaglim:float? pdiffimfilename:string? programpi:string? programid:int candid:long
isdiffpos:string tblid:long? nid:int? rcid:int? field:int? xpos:float? ypos:float? ra:double dec:double magpsf:float
sigmapsf:float chipsf:float? magap:float? sigmagap:float? distnr:float? magnr:float? sigmagnr:float? chinr:float?
sharpnr:float? sky:float? magdiff:float? fwhm:float? classtar:float? mindtoedge:float? magfromlim:float?
seeratio:float? aimage:float? bimage:float? aimagerat:float? bimagerat:float? elong:float? nneg:int? nbad:int? rb:float?
ssdistnr:float? ssmagnr:float? ssnamenr:string? sumrat:float? magapbig:float? sigmagapbig:float? ranr:double
decnr:double sgmag1:float? srmag1:float? simag1:float? szmag1:float? sgscore1:float? distpsnr1:float? ndethist:int
ncovhist:int jdstarthist:double? jdendhist:double? scorr:double? tooflag:int? objectidps1:long? objectidps2:long?
sgmag2:float? srmag2:float? simag2:float? szmag2:float? sgscore2:float? distpsnr2:float? objectidps3:long? sgmag3:float?
srmag3:float? simag3:float? szmag3:float? sgscore3:float? distpsnr3:float? nmtchps:int rfid:long jdstartref:double
jdendref:double nframesref:int rbversion:string dsnrms:float? ssnrms:float? dsdiff:float? magzpsci:float?
magzpsciunc:float? magzpscirms:float? nmatches:int clrcoeff:float? clrcounc:float? zpclrcov:float? zpmed:float?
clrmed:float? clrrms:float? neargaia:float? neargaiabright:float? maggaia:float? maggaiabright:float? exptime:float?
drb:float? drbversion:string
"""

_PRV_CANDIDATE_FIELDS = """
jd:double fid:int pid:long diffmaglim:float? pdiffimfilename:string? programpi:string? programid:int candid:long~
isdiffpos:string~ tblid:long? nid:int? rcid:int? field:int? xpos:float? ypos:float? ra:double~ dec:double~ magpsf:float~
sigmapsf:float~ chipsf:float? magap:float? sigmagap:float? distnr:float? magnr:float? sigmagnr:float? chinr:float?
sharpnr:float? sky:float? magdiff:float? fwhm:float? classtar:float? mindtoedge:float? magfromlim:float?
seeratio:float? aimage:float? bimage:float? aimagerat:float? bimagerat:float? elong:float? nneg:int? nbad:int? rb:float?
ssdistnr:float? ssmagnr:float? ssnamenr:string? sumrat:float? magapbig:float? sigmagapbig:float? ranr:double~
decnr:double~ scorr:double? magzpsci:float? magzpsciunc:float? magzpscirms:float? clrcoeff:float? clrcounc:float?
rbversion:string
"""

_FP_HIST_FIELDS = """
field:int? rcid:int? fid:int pid:long rfid:long sciinpseeing:float? scibckgnd:float? scisigpix:float? magzpsci:float?
magzpsciunc:float? magzpscirms:float? clrcoeff:float? clrcounc:float? exptime:float? adpctdif1:float? adpctdif2:float?
diffmaglim:float? programid:int jd:double forcediffimflux:float? forcediffimfluxunc:float? procstatus:string?
distnr:float? ranr:double decnr:double magnr:float? sigmagnr:float? chinr:float? sharpnr:float?
"""

_CUTOUT_FIELDS = "fileName:string stampData:bytes"


@cache
def schema() -> dict[str, Any]:
    """The survey's Avro schema, version 4.02, without its documentation strings."""
    prv_candidate = _record("ztf.alert.prv_candidate", _PRV_CANDIDATE_FIELDS)
    fp_hist = _record("ztf.alert.fp_hist", _FP_HIST_FIELDS)
    cutout = _record("ztf.alert.cutout", _CUTOUT_FIELDS)
    alert = _record("ztf.alert", "schemavsn:string publisher:string objectId:string candid:long")
    alert["fields"] += [
        {"name": "candidate", "type": _record("ztf.alert.candidate", _CANDIDATE_FIELDS)},
        _nullable("prv_candidates", {"type": "array", "items": prv_candidate}),
        _nullable("fp_hists", {"type": "array", "items": fp_hist}),
        _nullable("cutoutScience", cutout),
        _nullable("cutoutTemplate", cutout["name"]),
        _nullable("cutoutDifference", cutout["name"]),
    ]
    return alert


@cache
def prv_candidate_names() -> tuple[str, ...]:
    """Names of the fields that a row of the history has."""
    return tuple(entry.split(":")[0] for entry in _PRV_CANDIDATE_FIELDS.split())


def encode(alert: Mapping[str, Any]) -> bytes:
    """Write an alert as ZTF distributes it: an uncompressed container that holds its own schema."""
    record = io.BytesIO()
    fastavro.schemaless_writer(record, _parsed_schema(), alert)
    # The survey's marker is random; this one depends on the alert alone, so that the bytes do.
    marker = int(alert["candid"]).to_bytes(_MARKER_BYTES, "big")
    # One block: how many records, how many bytes, the records, the marker again.
    block = (_avro_long(1), _avro_long(record.tell()), record.getvalue(), marker)
    return b"".join((_header(), marker, *block))


@cache
def _parsed_schema() -> Any:
    return fastavro.parse_schema(schema())


@cache
def _header() -> bytes:
    """A container's header without its marker; to write 15 kB of schema anew costs as much as the record does."""
    empty = io.BytesIO()
    fastavro.writer(empty, _parsed_schema(), [], codec="null", sync_marker=bytes(_MARKER_BYTES))
    return empty.getvalue()[:-_MARKER_BYTES]


def _avro_long(number: int) -> bytes:
    """A number from zero up as Avro writes it: twice the number, seven bits a byte, the lowest first."""
    rest = 2 * number
    octets = bytearray()
    while rest > 0x7F:
        octets.append(rest & 0x7F | 0x80)
        rest >>= 7
    octets.append(rest)
    return bytes(octets)


def _record(name: str, table: str) -> dict[str, Any]:
    fields = [_field(*entry.split(":")) for entry in table.split()]
    return {"type": "record", "name": name, "version": VERSION, "fields": fields}


def _field(name: str, type_name: str) -> dict[str, Any]:
    if type_name.endswith("?"):
        return _nullable(name, type_name[:-1])
    if type_name.endswith("~"):
        return {"name": name, "type": ["null", type_name[:-1]]}
    return {"name": name, "type": type_name}


def _nullable(name: str, inner: Any) -> dict[str, Any]:
    return {"name": name, "type": ["null", inner], "default": None}
