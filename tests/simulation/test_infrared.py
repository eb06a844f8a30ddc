"""What AllWISE has of simulated objects: colours by kind, limits, and a table that can be matched."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from broker_plugin.crossmatch import HatsCatalogue, Position
from broker_plugin.crossmatch.build import build_catalogue
from broker_plugin.packets import PacketReader
from broker_plugin.simulation import SimulatedObject, simulate_objects, write_packets
from broker_plugin.simulation.infrared import draw_allwise, nearest
from broker_plugin.simulation.light_curves import Steady
from broker_plugin.simulation.sources import Colours, Source
from broker_plugin.simulation.targets import Target

CLASSES = ("AGN", "SN", "VS")
GREY = Colours(0.5, 0.2, 0.1)


@pytest.fixture(scope="module")
def drawn() -> list[SimulatedObject]:
    return list(simulate_objects("ztf", 240, seed=21, detections=(1, 1), classes=CLASSES))


def of_class(drawn: list[SimulatedObject], class_name: str) -> list[SimulatedObject]:
    return [one for one in drawn if one.class_name == class_name]


def target(*sources: Source) -> Target:
    return Target("SN", sources, 1.0, GREY, Steady())


def test_nuclei_are_red_and_stars_are_not(drawn):
    def median_colour(class_name):
        found = [one.allwise.counterpart for one in of_class(drawn, class_name) if one.allwise.counterpart]
        return np.median([counterpart.w1_w2_mag for counterpart in found if counterpart.w1_w2_mag is not None])

    assert median_colour("AGN") > 0.7
    assert median_colour("SN") < 0.35
    assert abs(median_colour("VS")) < 0.15


def test_a_host_dilutes_the_colour_of_its_nucleus():
    def mean_colour(point_fraction):
        source = Source(0.0, 0.0, 17.0, GREY, point_fraction)
        entries = [draw_allwise(target(source), 10.0, 20.0, np.random.default_rng(seed))[0] for seed in range(40)]
        return np.mean([entry.photometry[0] - entry.photometry[1] for entry in entries])

    assert mean_colour(0.9) > mean_colour(0.4) + 0.1 > mean_colour(0.1) + 0.2


def test_the_counterpart_of_a_supernova_is_the_nucleus_of_its_host():
    for distance_arcsec, status in ((2.0, "found"), (5.0, "none_there")):
        host = Source(distance_arcsec, 0.0, 17.0, GREY, 0.0)
        entries = draw_allwise(target(host), 10.0, 20.0, np.random.default_rng(1))
        match = nearest(entries, 10.0, 20.0)
        assert len(entries) == 1 and match.status == status
        if match.counterpart is not None:
            assert match.counterpart.separation_arcsec == pytest.approx(2.0, abs=0.3)


def test_what_is_too_faint_has_no_entry_and_what_is_faint_no_w4():
    assert draw_allwise(target(Source(0.0, 0.0, 23.0, GREY, 0.0)), 10.0, 20.0, np.random.default_rng(1)) == ()
    (entry,) = draw_allwise(target(Source(0.0, 0.0, 18.0, GREY, 1.0)), 10.0, 20.0, np.random.default_rng(1))
    assert entry.photometry[0] is not None and entry.photometry[3] is None and entry.photometry[7] is None


def test_the_beam_makes_one_entry_of_two_close_sources():
    pair = Source(0.0, 0.0, 15.0, GREY, 1.0), Source(3.0, 0.0, 14.0, GREY, 1.0)
    assert len(draw_allwise(target(*pair), 10.0, 20.0, np.random.default_rng(1))) == 1
    apart = Source(0.0, 0.0, 15.0, GREY, 1.0), Source(9.0, 0.0, 14.0, GREY, 1.0)
    assert len(draw_allwise(target(*apart), 10.0, 20.0, np.random.default_rng(1))) == 2


def test_errors_grow_from_the_floor_to_a_fifth_at_the_limit(drawn):
    rows = [entry.photometry for one in drawn for entry in one.allwise_sources]
    errors = {round(row[0]): row[4] for row in rows if row[0] is not None}
    assert errors[10] < 0.03 < errors[15] < errors[17] < 0.3


def test_a_name_says_where_it_is(drawn):
    for one in drawn:
        for entry in one.allwise_sources:
            name = entry.name
            ra = 15.0 * (int(name[1:3]) + int(name[3:5]) / 60 + float(name[5:10]) / 3600)
            dec = int(name[11:13]) + int(name[13:15]) / 60 + float(name[15:]) / 3600
            assert ra == pytest.approx(entry.ra_deg, abs=0.2 / 3600)
            assert math.copysign(dec, -1.0 if name[10] == "-" else 1.0) == pytest.approx(entry.dec_deg, abs=0.11 / 3600)


def test_packets_do_not_depend_on_the_infrared(monkeypatch):
    before = [one.packets for one in simulate_objects("ztf", 3, seed=3)]
    monkeypatch.setattr("broker_plugin.simulation.infrared.draw_allwise", lambda *_: ())
    assert [one.packets for one in simulate_objects("ztf", 3, seed=3)] == before


def test_a_crossmatch_of_the_packets_finds_the_counterparts(tmp_path: Path, drawn):
    written = list(write_packets(tmp_path / "packets", "ztf", 240, 21, classes=CLASSES))
    build_catalogue([tmp_path / "packets" / "allwise.csv"], tmp_path / "allwise")
    identities = [PacketReader().read(packet.payload).identity for packet in written]
    matches = HatsCatalogue(tmp_path / "allwise").match([Position(i.ra_deg, i.dec_deg) for i in identities])
    for match, one in zip(matches, drawn, strict=True):
        wanted, found = one.allwise.counterpart, match.counterpart
        if wanted is None:
            # An alert's own position is off by a little: what is just beyond the radius may come within.
            assert found is None or found.separation_arcsec > 2.0
        elif wanted.separation_arcsec < 2.0:
            assert found is not None and found.name == wanted.name
            assert found.separation_arcsec == pytest.approx(wanted.separation_arcsec, abs=1.0)
            assert (found.w1_mag, found.w4_mag) == (wanted.w1_mag, wanted.w4_mag)


def test_the_table_holds_the_sources_of_every_object_once(tmp_path: Path, drawn):
    list(write_packets(tmp_path, "ztf", 240, 21, classes=CLASSES))
    with (tmp_path / "allwise.csv").open(newline="") as table:
        names = [row["designation"] for row in csv.DictReader(table)]
    assert names == [entry.name for one in drawn for entry in one.allwise_sources]
