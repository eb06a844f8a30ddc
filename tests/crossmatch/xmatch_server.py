"""A server on the loopback interface that speaks the protocol of the CDS X-Match service, well or badly."""

from __future__ import annotations

import email
import email.policy
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

Respond = Callable[[BaseHTTPRequestHandler, dict[str, str]], None]


class Service:
    """Answers with the rows of a table, VizieR's columns of AllWISE; ``respond`` may be put in its place.

    Attributes
    ----------
    requests
        The forms that were sent so far.
    """

    def __init__(self, rows: Table) -> None:
        self.rows = rows
        self.requests: list[dict[str, str]] = []
        self.respond: Respond = lambda handler, form: send(handler, self.answer(form))
        self.url = ""

    def answer(self, form: dict[str, str]) -> bytes:
        """The match as a VOTable, with the columns asked for."""
        sent = Table.read(form["cat1"], format="ascii.csv")
        there = SkyCoord(self.rows["RAJ2000"], self.rows["DEJ2000"], unit="deg")
        asked = SkyCoord(sent[form["colRA1"]], sent[form["colDec1"]], unit="deg")
        i, j, distance, _ = there.search_around_sky(asked, float(form["distMaxArcsec"]) * u.arcsec)
        columns: dict[str, Any] = {"angDist": distance.arcsec}
        columns |= {name: sent[name][i] for name in form["cols1"].split(",")}
        columns |= {name: self.rows[name][j] for name in form["cols2"].split(",")}
        return votable(Table(columns))


def votable(table: Table) -> bytes:
    out = io.BytesIO()
    table.write(out, format="votable")
    return out.getvalue()


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/x-votable+xml")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def rows(ra_deg: Any, dec_deg: Any) -> Table:
    """Sources with VizieR's names of AllWISE's columns; W3 and W4 are upper limits."""
    n = len(ra_deg)
    nothing = np.ma.masked_all(n, float)
    return Table(
        {
            "AllWISE": [f"J{i}" for i in range(n)],
            "RAJ2000": ra_deg,
            "DEJ2000": dec_deg,
            "W1mag": np.full(n, 11.25),
            "W2mag": np.full(n, 10.75),
            "W3mag": np.full(n, 9.0),
            "W4mag": np.full(n, 8.0),
            "e_W1mag": np.full(n, 0.02),
            "e_W2mag": np.full(n, 0.03),
            "e_W3mag": nothing,
            "e_W4mag": nothing,
        },
        masked=True,
    )


def _form(handler: BaseHTTPRequestHandler) -> dict[str, str]:
    body = handler.rfile.read(int(handler.headers["Content-Length"]))
    head = f"Content-Type: {handler.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_content() for part in message.iter_parts()
    }


@contextmanager
def running(service: Service) -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = {name: text.decode() if isinstance(text, bytes) else text for name, text in _form(self).items()}
            service.requests.append({name: text.strip() if name != "cat1" else text for name, text in form.items()})
            service.respond(self, service.requests[-1])

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}/xmatch/api/v1/sync"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def slowly(service: Service, seconds: float) -> Respond:
    def respond(handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        time.sleep(seconds)
        send(handler, service.answer(form))

    return respond


def drip(handler: BaseHTTPRequestHandler, _: dict[str, str]) -> None:
    """A byte at a time, so that no single read takes long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _nth in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)
