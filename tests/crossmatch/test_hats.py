"""A local catalogue: the right counterpart, wherever on the sky, and a clear word where there can be none."""

from __future__ import annotations

import shutil
import time
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra crossmatch")
pytest.importorskip("astropy_healpix", reason="needs astropy-healpix, of the extra crossmatch")

import pyarrow.parquet as pq

from broker_plugin.crossmatch import CatalogueError, HatsCatalogue, NotLookedUp, Position, ProperMotion

from .samples import ARCSEC, DELICATE, all_sky, catalogue, names, patch, positions, table

Sky = tuple[NDArray[np.float64], NDArray[np.float64]]


def by_astropy(sky: Sky, where: Sky, radius_arcsec: float) -> list[str | None]:
    """The nearest source to each position, as astropy finds it."""
    nearest, distance, _ = SkyCoord(*where, unit="deg").match_to_catalog_sky(SkyCoord(*sky, unit="deg"))
    inside = distance < radius_arcsec * u.arcsec
    return [str(row) if near else None for row, near in zip(nearest.tolist(), inside.tolist(), strict=True)]


def is_covered(matches: list[object]) -> NDArray[np.bool_]:
    return np.array([match.not_looked_up is None for match in matches])


@pytest.fixture(scope="module")
def delicate_sky(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sky, Path]:
    """500 sources within a minute of arc of each delicate place, in tiles as small as they get."""
    rng = np.random.default_rng(1)
    parts = [patch(rng, *place, 60.0, 500) for place in DELICATE]
    sky = np.concatenate([ra for ra, _ in parts]), np.concatenate([dec for _, dec in parts])
    return sky, catalogue(tmp_path_factory.mktemp("delicate"), table(*sky), rows_per_tile=50)


@pytest.mark.parametrize("place", DELICATE, ids=str)
@pytest.mark.parametrize("radius_arcsec", [0.5, 3.0, 20.0])
def test_the_nearest_is_astropys_nearest_in_delicate_places(
    delicate_sky: tuple[Sky, Path], place: tuple[float, float], radius_arcsec: float
) -> None:
    sky, folder = delicate_sky
    where = patch(np.random.default_rng(2), *place, 55.0, 300)
    matches = HatsCatalogue(folder, radius_arcsec=radius_arcsec).match(positions(*where))
    assert is_covered(matches).all()
    assert names(matches) == by_astropy(sky, where, radius_arcsec)


def test_the_nearest_is_astropys_nearest_all_over_the_sky(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    sky = all_sky(rng, 60_000)
    folder = catalogue(tmp_path, table(*sky), rows_per_tile=500)
    # Beside sources, up to 4 arcsec away: on both sides of the radius.
    near = rng.integers(0, 60_000, 4000)
    beside = [patch(rng, sky[0][i], sky[1][i], 4.0, 1) for i in near]
    where = np.concatenate([ra for ra, _ in beside]), np.concatenate([dec for _, dec in beside])
    matches = HatsCatalogue(folder).match(positions(*where))
    assert is_covered(matches).all()
    assert names(matches) == by_astropy(sky, where, 3.0)
    assert 0.4 < np.mean([match.counterpart is not None for match in matches]) < 0.7


def test_separations_are_astropys(delicate_sky: tuple[Sky, Path]) -> None:
    sky, folder = delicate_sky
    where = patch(np.random.default_rng(4), 0.0, 90.0, 50.0, 200)
    found = HatsCatalogue(folder, radius_arcsec=20.0).match(positions(*where))
    distance = SkyCoord(*where, unit="deg").match_to_catalog_sky(SkyCoord(*sky, unit="deg"))[1].arcsec
    assert [m.counterpart.separation_arcsec for m in found if m.counterpart] == pytest.approx(distance, abs=1e-9)


def test_a_source_across_a_tiles_border_is_found(tmp_path: Path) -> None:
    """Two tiles meet at RA 45 on the equator, and each has something of its own."""
    sky = (np.array([45.0 + 0.5 * ARCSEC, 45.0 - 60 * ARCSEC]), np.array([0.0, 0.0]))
    divided = HatsCatalogue(catalogue(tmp_path, table(*sky), rows_per_tile=1))
    [match] = divided.match([Position(45.0 - 0.5 * ARCSEC, 0.0)])
    assert divided.tiles == 2
    assert match.counterpart is not None
    assert match.counterpart.separation_arcsec == pytest.approx(1.0, abs=1e-6)


def test_what_a_counterpart_says(tmp_path: Path) -> None:
    rows = table(np.array([10.0]), np.array([20.0]), w4sigmpro=[None])
    [match] = HatsCatalogue(catalogue(tmp_path, rows)).match([Position(10.0, 20.0 + ARCSEC)])
    found = match.counterpart
    assert found is not None and match.status == "found"
    assert (found.name, found.source) == ("0", "hats:catalogue")
    assert (found.w1_mag, found.w2_mag, found.w3_mag) == (11.0, 12.0, 13.0)
    assert (found.w1_err_mag, found.w3_err_mag) == (0.02, 0.06)
    assert (found.w1_w2_mag, found.w2_w3_mag) == (-1.0, -1.0)
    assert (found.w4_mag, found.w4_err_mag, found.w3_w4_mag) == (None, None, None), "an upper limit is no magnitude"


def test_none_there_and_not_looked_up_are_told_apart(tmp_path: Path) -> None:
    matches = HatsCatalogue(catalogue(tmp_path, table(np.array([10.0]), np.array([20.0])))).match(
        [Position(10.0, 20.0 + 4 * ARCSEC), Position(200.0, -50.0)]
    )
    assert [match.status for match in matches] == ["none_there", "not_looked_up"]
    assert matches[0].detail == "no source within 3 arcsec in hats:catalogue"
    assert matches[1].not_looked_up is NotLookedUp.ABSENT


@pytest.mark.parametrize(
    "place",
    [
        (float("nan"), 0.0),
        (0.0, float("inf")),
        (-0.1, 0.0),
        (360.1, 0.0),
        (0.0, 90.1),
        (None, None),
        ("10", 0.0),
        (10**400, 0.0),
        (True, 0.0),
    ],
    ids=str,
)
def test_no_place_on_the_sky(delicate_sky: tuple[Sky, Path], place: tuple[float, float]) -> None:
    bad, good = HatsCatalogue(delicate_sky[1], radius_arcsec=20.0).match([Position(*place), Position(0.0, 0.0)])
    assert bad.not_looked_up is NotLookedUp.BAD_POSITION
    assert bad.detail is not None and len(bad.detail) < 150
    assert good.status == "found"


def test_an_empty_batch(delicate_sky: tuple[Sky, Path]) -> None:
    assert HatsCatalogue(delicate_sky[1]).match([]) == []


def test_ra_0_and_360_are_one_place(delicate_sky: tuple[Sky, Path]) -> None:
    found = HatsCatalogue(delicate_sky[1], radius_arcsec=20.0).match([Position(0.0, 12.0), Position(360.0, 12.0)])
    assert len(set(names(found))) == 1


class TestEpoch:
    """Proper motions, where a catalogue has them."""

    EPOCH = 55400.0
    MOTION = ProperMotion("pmra", "pmdec", EPOCH)

    @pytest.mark.parametrize("dec_deg", [0.0, 60.0, 89.9999, -89.9999])
    def test_a_fast_star_is_where_astropy_says(self, tmp_path: Path, dec_deg: float) -> None:
        pmra, pmdec, years = 900.0, -700.0, 15.0
        star = SkyCoord(
            30.0 * u.deg, dec_deg * u.deg, pm_ra_cosdec=pmra * u.mas / u.yr, pm_dec=pmdec * u.mas / u.yr,
            distance=1 * u.kpc, radial_velocity=0 * u.km / u.s,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # erfa's, of the distance
            there = star.apply_space_motion(dt=years * u.yr)
        rows = table(np.array([30.0]), np.array([dec_deg]), pmra=[pmra], pmdec=[pmdec])
        folder = keeping_motion(catalogue(tmp_path, rows), rows)
        then = self.EPOCH + years * 365.25
        moved, stayed = HatsCatalogue(folder, motion=self.MOTION).match(
            [Position(there.ra.deg, there.dec.deg, then), Position(30.0, dec_deg, then)]
        )
        assert moved.counterpart is not None
        assert moved.counterpart.separation_arcsec < 0.01
        assert stayed.status == "none_there", "it has left the place that the catalogue has"

    def test_a_position_without_a_time_is_searched_at_the_catalogues_epoch(self, tmp_path: Path) -> None:
        rows = table(np.array([30.0]), np.array([5.0]), pmra=[900.0], pmdec=[0.0])
        folder = keeping_motion(catalogue(tmp_path, rows), rows)
        [match] = HatsCatalogue(folder, motion=self.MOTION).match([Position(30.0, 5.0)])
        assert match.status == "found"

    def test_a_missing_motion_is_none(self, tmp_path: Path) -> None:
        rows = table(np.array([30.0]), np.array([5.0]), pmra=[None], pmdec=[None])
        folder = keeping_motion(catalogue(tmp_path, rows), rows)
        [match] = HatsCatalogue(folder, motion=self.MOTION).match([Position(30.0, 5.0, self.EPOCH + 5000.0)])
        assert match.status == "found"

    def test_allwises_apparent_motions_are_left_alone(self, tmp_path: Path) -> None:
        rows = table(np.array([30.0]), np.array([5.0]), pmra=[900.0], pmdec=[0.0])
        [match] = HatsCatalogue(keeping_motion(catalogue(tmp_path, rows), rows)).match(
            [Position(30.0, 5.0, self.EPOCH + 5000.0)]
        )
        assert match.counterpart is not None and match.counterpart.separation_arcsec == 0.0

    def test_columns_that_are_not_there(self, tmp_path: Path) -> None:
        folder = catalogue(tmp_path, table(np.array([30.0]), np.array([5.0])))
        with pytest.raises(CatalogueError, match="pmra"):
            HatsCatalogue(folder, motion=self.MOTION)


def keeping_motion(folder: Path, rows: object) -> Path:
    """Put the columns pmra and pmdec into a catalogue of one tile."""
    [tile] = folder.glob("dataset/*/*/*.parquet")
    made = pq.read_table(tile, partitioning=None)
    for column in ("pmra", "pmdec"):
        made = made.append_column(column, rows[column].cast("float64"))
    pq.write_table(made, tile)
    pq.write_metadata(made.schema, folder / "dataset" / "_common_metadata")
    return folder


class TestDamage:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return catalogue(tmp_path, table(np.array([10.0, 200.0]), np.array([20.0, -50.0])), rows_per_tile=1)

    @pytest.fixture
    def tile(self, folder: Path) -> Path:
        """The one that holds (10, 20)."""
        tiles = list(folder.glob("dataset/*/*/*.parquet"))
        assert len(tiles) == 2
        return next(path for path in tiles if pq.read_table(path, partitioning=None)["ra"][0].as_py() == 10.0)

    @pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "missing", "bits"])
    def test_a_damaged_tile_costs_only_its_own_part_of_the_sky(self, folder: Path, tile: Path, damage: str) -> None:
        content = tile.read_bytes()
        middle = len(content) // 4
        damaged = {
            "truncated": content[: len(content) // 2],
            "garbage": b"PAR1" + bytes(range(256)) * 20 + b"PAR1",
            "empty": b"",
            "bits": content[:40] + bytes(byte ^ 0xFF for byte in content[40:middle]) + content[middle:],
        }
        tile.unlink()
        if damage in damaged:
            tile.write_bytes(damaged[damage])
        bad, good = HatsCatalogue(folder).match([Position(10.0, 20.0), Position(200.0, -50.0)])
        assert bad.not_looked_up is NotLookedUp.FAILED
        assert bad.detail is not None and bad.detail.startswith("failed: hats:catalogue, dataset/Norder=")
        assert tile.name in bad.detail
        assert good.status == "found"

    def test_a_column_of_another_type(self, folder: Path, tile: Path) -> None:
        rows = pq.read_table(tile, partitioning=None)
        pq.write_table(rows.set_column(rows.schema.get_field_index("w1mpro"), "w1mpro", [["bright"]]), tile)
        [match] = HatsCatalogue(folder).match([Position(10.0, 20.0)])
        assert match.not_looked_up is NotLookedUp.FAILED

    def test_a_tile_that_the_cache_may_not_hold(self, tmp_path: Path) -> None:
        sky = patch(np.random.default_rng(5), 10.0, 20.0, 60.0, 1000)
        small = HatsCatalogue(catalogue(tmp_path, table(*sky)), cache_bytes=50_000)
        [match] = small.match([Position(10.0, 20.0)])
        assert match.not_looked_up is NotLookedUp.FAILED
        assert match.detail is not None and "more than the cache may hold" in match.detail

    @pytest.mark.parametrize(
        ("file", "content", "problem"),
        [
            ("partition_info.csv", None, "partition_info.csv"),
            ("partition_info.csv", "Norder,Npix\n", "tiles, not 0"),
            ("partition_info.csv", "Norder,Npix\n40,1\n", "not on the sky"),
            ("partition_info.csv", "Norder,Npix\n0,12\n", "not on the sky"),
            ("partition_info.csv", "Norder,Npix\n0,x\n", "partition_info.csv"),
            ("partition_info.csv", "a,b\n1,2\n", "partition_info.csv"),
            ("partition_info.csv", "Norder,Npix\n0,1\n1,4\n", "overlap"),
            ("hats.properties", "dataproduct_type=margin\n", "margin"),
            ("dataset/_common_metadata", "nonsense", "_common_metadata"),
        ],
    )
    def test_a_damaged_catalogue_is_refused(self, folder: Path, file: str, content: str | None, problem: str) -> None:
        (folder / file).unlink()
        if content is not None:
            (folder / file).write_text(content)
        with pytest.raises(CatalogueError, match=problem):
            HatsCatalogue(folder)

    def test_another_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CatalogueError, match="no HATS catalogue"):
            HatsCatalogue(tmp_path)

    @pytest.mark.parametrize("radius_arcsec", [0.0, -1.0, 100.0, float("nan")])
    def test_a_radius_without_sense_is_refused(self, folder: Path, radius_arcsec: float) -> None:
        with pytest.raises(ValueError, match="radius"):
            HatsCatalogue(folder, radius_arcsec=radius_arcsec)


def test_tiles_are_read_as_positions_need_them_and_let_go(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    sky = all_sky(rng, 12_000)
    folder = catalogue(tmp_path, table(*sky), rows_per_tile=1000)
    bounded = HatsCatalogue(folder, cache_bytes=200_000)
    assert bounded.cached_bytes == 0
    held = []
    for start in range(0, 12_000, 100):
        where = positions(sky[0][start : start + 100], sky[1][start : start + 100])
        assert names(bounded.match(where)) == [str(row) for row in range(start, start + 100)]
        held.append(bounded.cached_bytes)
    assert 100_000 < max(held) <= 200_000


def test_a_collection_names_its_catalogue(tmp_path: Path) -> None:
    folder = catalogue(tmp_path / "in", table(np.array([10.0]), np.array([20.0])))
    collection = tmp_path / "collection"
    shutil.move(folder, collection / "allwise")
    (collection / "collection.properties").write_text("hats_primary_table_url=allwise\n")
    assert HatsCatalogue(collection).match([Position(10.0, 20.0)])[0].status == "found"
    (collection / "collection.properties").write_text("hats_primary_table_url=../in\n")
    with pytest.raises(CatalogueError, match="hats_primary_table_url"):
        HatsCatalogue(collection)


class TestDeadline:
    @pytest.fixture
    def slow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HatsCatalogue:
        """A catalogue whose tiles take 1.5 s each to read."""
        folder = catalogue(tmp_path, table(np.array([10.0, 200.0]), np.array([20.0, -50.0])), rows_per_tile=1)
        read = HatsCatalogue._read_tile

        def slowly(self: HatsCatalogue, tile: int) -> object:
            time.sleep(1.5)
            return read(self, tile)

        monkeypatch.setattr(HatsCatalogue, "_read_tile", slowly)
        return HatsCatalogue(folder)

    def test_a_slow_disk_holds_up_no_batch_and_the_late_tile_is_there_for_the_next(self, slow: HatsCatalogue) -> None:
        started = time.monotonic()
        [match] = slow.match([Position(10.0, 20.0)], timeout_s=0.02)
        assert time.monotonic() - started < 1.0
        assert match.not_looked_up is NotLookedUp.TOO_SLOW
        slow.match([Position(10.0, 20.0)], timeout_s=30.0)
        assert slow.match([Position(10.0, 20.0)], timeout_s=0.0)[0].status == "found"

    def test_what_is_in_memory_is_answered_beside_what_is_not(self, slow: HatsCatalogue) -> None:
        slow.match([Position(10.0, 20.0)])
        warm, cold = slow.match([Position(10.0, 20.0), Position(200.0, -50.0)], timeout_s=0.02)
        assert warm.status == "found"
        assert cold.not_looked_up is NotLookedUp.TOO_SLOW

    def test_with_time_enough_all_is_answered(self, slow: HatsCatalogue) -> None:
        both = slow.match([Position(10.0, 20.0), Position(200.0, -50.0)], timeout_s=60.0)
        assert [match.status for match in both] == ["found", "found"]
