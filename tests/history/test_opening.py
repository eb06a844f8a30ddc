"""Which store an address means."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from broker_plugin.history import HistoryError, Limits, held_form, open_store

from .samples import FORM, SN, detection, ids


def test_memory_is_new_each_time() -> None:
    open_store("memory:", FORM).remember([(SN, detection(1))])
    assert ids(open_store("memory:", FORM), SN) == []


def test_a_path_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    with open_store(str(path), FORM) as store:
        store.remember([(SN, detection(1))])
    with open_store(f"sqlite:{path}", FORM) as store:
        assert ids(store, SN) == [1]


@pytest.mark.parametrize("url", ["", "sqlite:", "postgres://localhost/objects", "http://127.0.0.1:6379/0"])
def test_other_addresses_are_refused_with_those_there_are(url: str) -> None:
    with pytest.raises(HistoryError, match="names no store: memory:, sqlite:PATH, a path, or redis://"):
        open_store(url, FORM)


@pytest.mark.parametrize("form", ["", "a b", "ä", "x" * 129])
def test_a_form_is_short_and_printable(form: str) -> None:
    with pytest.raises(ValueError, match="1 to 128 printable characters"):
        open_store("memory:", form)


def test_a_store_tells_its_form(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'a b#c?.db'}"
    open_store(url, FORM).close()
    assert held_form(url) == FORM


def test_no_store_is_made_to_tell_its_form(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="there is no store of objects"):
        held_form(str(tmp_path / "objects.db"))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_has_no_form(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    path.touch()
    with pytest.raises(HistoryError, match="there is no store of objects"):
        held_form(str(path))
    assert path.stat().st_size == 0


def test_stores_are_bounded_unless_told_otherwise() -> None:
    assert open_store("memory:", FORM).limits == Limits(max_detections=8, max_days=None, max_bytes=2_000_000_000)


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, broker_plugin.history; print([m for m in ('redis', 'tensorflow', 'astropy') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
