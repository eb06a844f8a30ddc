"""Catalogues that others made, with the importer that they make them with, of real AllWISE rows."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

pytest.importorskip("astropy_healpix", reason="needs astropy-healpix, of the extra crossmatch")

from broker_plugin.crossmatch import HatsCatalogue, Position
from broker_plugin.crossmatch.build import build_catalogue

from .samples import names

Row = dict[str, str]


@pytest.fixture(scope="module")
def rows(allwise_sample: Path) -> list[Row]:
    with allwise_sample.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def imported(allwise_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    arguments = pytest.importorskip("hats_import.catalog.arguments", reason="needs hats-import, of the extra test")
    runner = pytest.importorskip("hats_import.catalog.run_import")
    distributed = pytest.importorskip("dask.distributed")
    folder = tmp_path_factory.mktemp("imported")
    wanted = arguments.ImportArguments(
        output_path=folder,
        output_artifact_name="allwise",
        input_file_list=[allwise_sample],
        file_reader="csv",
        ra_column="RAJ2000",
        dec_column="DEJ2000",
        pixel_threshold=500,
        highest_healpix_order=6,
        progress_bar=False,
    )
    with distributed.Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as client:
        runner.run(wanted, client)
    return folder / "allwise"


@pytest.fixture(scope="module")
def ours(allwise_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ours") / "allwise"
    build_catalogue([allwise_sample], out, rows_per_tile=500)
    return out


@pytest.mark.parametrize("made_by", ["imported", "ours"])
def test_real_sources_are_found_where_they_were_matched(
    request: pytest.FixtureRequest, rows: list[Row], made_by: str
) -> None:
    """The table is itself the answer of the CDS: objects, and what AllWISE has within 3 arcsec of each."""
    catalogue = HatsCatalogue(request.getfixturevalue(made_by))
    assert catalogue.tiles > 12
    matches = catalogue.match([Position(float(row["ra_in"]), float(row["dec_in"])) for row in rows])
    nearest: dict[tuple[str, str, str], Row] = {}
    for row in sorted(rows, key=lambda row: float(row["angDist"]), reverse=True):
        nearest[row["id_in"], row["ra_in"], row["dec_in"]] = row
    found = dict(zip(((row["id_in"], row["ra_in"], row["dec_in"]) for row in rows), matches, strict=True))
    assert None not in names(matches)
    wrong = [key for key, row in nearest.items() if found[key].counterpart.name != row["AllWISE"]]
    assert wrong == []
    for key, row in nearest.items():
        counterpart = found[key].counterpart
        assert counterpart.separation_arcsec == pytest.approx(float(row["angDist"]), abs=0.02)
        assert counterpart.w1_mag == (pytest.approx(float(row["W1mag"])) if row["e_W1mag"] else None)
        assert counterpart.w4_mag == (pytest.approx(float(row["W4mag"])) if row["e_W4mag"] else None)


def test_the_importers_catalogue_and_ours_say_the_same(imported: Path, ours: Path, rows: list[Row]) -> None:
    where = [Position(float(row["RAJ2000"]) % 360.0, float(row["DEJ2000"]) + 0.0002) for row in rows]
    assert HatsCatalogue(imported).match(where) == HatsCatalogue(ours).match(where)
