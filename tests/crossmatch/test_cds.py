"""The CDS X-Match service, as it should be and as it may be."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
from astropy.table import Table

pytest.importorskip("astroquery", reason="needs astroquery, of the extra crossmatch")

from broker_plugin.crossmatch import CdsXMatch, Match, NotLookedUp, Position, cds

from .samples import ARCSEC, DELICATE, names, patch, positions
from .xmatch_server import Respond, Service, drip, rows, running, send, slowly, votable

HERE, EMPTY = Position(10.0, 20.0), Position(200.0, -50.0)


@pytest.fixture
def service() -> Iterator[Service]:
    with running(Service(rows([10.0, 10.0], [20.0 + ARCSEC, 20.0 + 2 * ARCSEC]))) as running_service:
        yield running_service


def client(service: Service, **options: float) -> CdsXMatch:
    return CdsXMatch(url=service.url, **({"request_timeout_s": 5.0, "backoff_s": 0.01} | options))


def test_a_counterpart(service: Service) -> None:
    [match] = client(service).match([HERE])
    found = match.counterpart
    assert found is not None
    assert (found.name, found.source) == ("J0", "cds")
    assert found.separation_arcsec == pytest.approx(1.0, abs=1e-4)
    assert (found.w1_mag, found.w1_err_mag, found.w1_w2_mag) == (11.25, 0.02, 0.5)
    assert (found.w3_mag, found.w4_mag) == (None, None), "upper limits"


def test_none_there(service: Service) -> None:
    [match] = client(service).match([EMPTY])
    assert (match.status, match.detail) == ("none_there", "no source within 3 arcsec in cds")


def test_what_is_sent_is_what_the_service_documents(service: Service) -> None:
    client(service).match([HERE])
    [form] = service.requests
    assert form["request"] == "xmatch"
    assert form["cat2"] == "vizier:II/328/allwise"
    assert form["RESPONSEFORMAT"] == "votable"
    assert 3.0 < float(form["distMaxArcsec"]) < 10.0
    assert len(Table.read(form["cat1"], format="ascii.csv")) == 1


def test_columns_that_were_not_asked_for_change_nothing(service: Service) -> None:
    def all_columns(handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        form = form | {"cols1": "asked_dec,asked_ra,asked_row", "cols2": ",".join(service.rows.colnames)}
        send(handler, service.answer(form))

    expected = client(service).match([HERE, EMPTY])
    service.respond = all_columns
    assert client(service).match([HERE, EMPTY]) == expected


def test_a_batch_is_one_request_and_asked_once(service: Service) -> None:
    source = client(service)
    assert [match.status for match in source.match([HERE, EMPTY, HERE])] == ["found", "none_there", "found"]
    assert len(service.requests) == 1
    again = source.match([HERE, EMPTY, Position(10.0, 20.0 + 0.01 * ARCSEC)])
    assert [match.status for match in again] == ["found", "none_there", "found"]
    assert len(service.requests) == 1, "also that nothing is there is remembered"
    assert again[2].counterpart is not None
    assert again[2].counterpart.separation_arcsec == pytest.approx(0.99, abs=1e-4), "the distance is one's own"


def test_large_batches_are_divided(service: Service) -> None:
    client(service, batch=10).match([Position(ra, 0.0) for ra in range(25)])
    assert [len(Table.read(form["cat1"], format="ascii.csv")) for form in service.requests] == [10, 10, 5]


@pytest.mark.parametrize("place", DELICATE, ids=str)
def test_the_nearest_is_the_nearest_of_all(place: tuple[float, float]) -> None:
    """Though it is asked for cells of the sky."""
    from .test_hats import by_astropy

    sky = patch(np.random.default_rng(1), *place, 60.0, 300)
    where = patch(np.random.default_rng(2), *place, 60.0, 100)
    with running(Service(rows(*sky))) as service:
        found = names(client(service).match(positions(*where)))
    assert found == [None if row is None else f"J{row}" for row in by_astropy(sky, where, 3.0)]


def status(code: int) -> Respond:
    return lambda handler, _: send(handler, b"no", code)


def body(content: bytes) -> Respond:
    return lambda handler, _: send(handler, content)


def hang_up(handler: BaseHTTPRequestHandler, _: dict[str, str]) -> None:
    handler.connection.close()


def foreign_rows(handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
    answer = rows([10.0], [20.0])
    answer["asked_row"] = [7]
    send(handler, votable(answer))


BAD = {
    "server error": status(500),
    "banned": status(403),
    "bad request": status(400),
    "empty": body(b""),
    "html": body(b"<html><body>We are down for maintenance</body></html>"),
    "binary": body(bytes(range(256)) * 50),
    "another table": body(votable(Table({"a": [1]}))),
    "foreign rows": foreign_rows,
    "hangs up": hang_up,
    "drips": drip,
    "too slow": lambda handler, _: time.sleep(2.0),
}


@pytest.mark.parametrize("respond", BAD.values(), ids=BAD.keys())
def test_what_goes_wrong_is_said_and_not_raised(service: Service, respond: Respond) -> None:
    service.respond = respond
    [match] = client(service, request_timeout_s=0.5, retries=1).match([HERE])
    assert match.not_looked_up is NotLookedUp.FAILED
    assert match.detail is not None and match.detail.startswith("failed: CDS X-Match: ")
    assert len(match.detail) < 400


def test_no_service_at_all() -> None:
    [match] = CdsXMatch(url="http://127.0.0.1:9/none", backoff_s=0.01).match([HERE])
    assert match.not_looked_up is NotLookedUp.FAILED


def test_an_answer_has_a_bounded_size(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cds, "_MAX_ANSWER_BYTES", 1000)
    service.respond = body(b"x" * 100_000)
    [match] = client(service).match([HERE])
    assert match.detail is not None and "more than 1000 bytes" in match.detail


def test_a_busy_service_is_asked_again(service: Service) -> None:
    good = service.respond
    service.respond = lambda handler, form: (
        status(503)(handler, form) if len(service.requests) < 3 else good(handler, form)
    )
    [match] = client(service, retries=2).match([HERE])
    assert match.status == "found"
    assert len(service.requests) == 3


def test_a_service_that_failed_is_left_alone_for_a_while(service: Service) -> None:
    service.respond = status(500)
    source = client(service, retries=0, pause_s=3600.0)
    source.match([HERE])
    [match] = source.match([EMPTY])
    assert match.detail is not None and "left alone" in match.detail
    assert len(service.requests) == 1


def test_and_then_asked_again(service: Service) -> None:
    good, service.respond = service.respond, status(500)
    source = client(service, retries=0, pause_s=0.01)
    source.match([HERE])
    service.respond = good
    time.sleep(0.05)
    assert [match.status for match in source.match([HERE, EMPTY])] == ["found", "none_there"]


def test_a_slow_service_holds_up_no_batch_and_its_late_answer_is_kept(service: Service) -> None:
    service.respond = slowly(service, 2.0)
    source = client(service, request_timeout_s=20.0)
    started = time.monotonic()
    [match] = source.match([HERE], timeout_s=0.05)
    assert time.monotonic() - started < 1.5
    assert match.not_looked_up is NotLookedUp.TOO_SLOW
    assert _until_found(source).status == "found"
    assert len(service.requests) == 1


def _until_found(source: CdsXMatch) -> Match:
    for _ in range(200):
        [match] = source.match([HERE], timeout_s=0.1)
        if match.not_looked_up is None:
            break
    return match


def test_the_cache_is_bounded(service: Service) -> None:
    source = client(service, cache_bytes=100_000)
    for start in range(0, 300, 50):
        source.match([Position(float(ra), 0.0) for ra in range(start, start + 50)])
    assert 90_000 < source.cached_bytes <= 100_000


def test_bad_positions_are_not_sent(service: Service) -> None:
    [bad] = client(service).match([Position(float("nan"), 0.0)])
    assert bad.not_looked_up is NotLookedUp.BAD_POSITION
    assert service.requests == []


def test_nothing_is_written_to_standard_output() -> None:
    """astroquery says there that it misses a package; ``classify -o -`` writes records there."""
    code = "from broker_plugin.crossmatch import CdsXMatch; CdsXMatch()"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == ""
