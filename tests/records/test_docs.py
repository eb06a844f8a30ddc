"""``docs/records.md`` is complete."""

from __future__ import annotations

import re
from pathlib import Path

from broker_plugin.alert import Reason
from broker_plugin.records.schema import load_schema

TEXT = (Path(__file__).parents[2] / "docs" / "records.md").read_text(encoding="utf-8")


def test_every_reason_is_in_the_table_with_its_status() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .{10,} \| .{5,} \|$", TEXT, flags=re.MULTILINE)
    assert rows == [(reason.value, reason.status.value) for reason in Reason]


def test_every_field_is_in_a_group() -> None:
    table = TEXT.partition("## The fields")[2].partition("\n- ")[0]
    named = re.findall(r"`(\w+)`", table)
    assert sorted(named) == sorted(field["name"] for field in load_schema()["fields"])
