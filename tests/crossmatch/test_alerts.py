"""ZTF alerts and Rubin's are the same to a look-up: it takes their positions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra crossmatch")
pytest.importorskip("astropy_healpix", reason="needs astropy-healpix, of the extra crossmatch")

from broker_plugin.alert import Alert
from broker_plugin.crossmatch import HatsCatalogue, Position
from broker_plugin.packets import PacketFiles, PacketReader

from .samples import ARCSEC, catalogue, names, table

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "packets"


@pytest.mark.parametrize("survey", ["ztf", "rubin"])
def test_an_alert_has_the_source_beside_it(survey: str, tmp_path: Path) -> None:
    alerts = [alert for alert in PacketFiles([EXAMPLES / survey], PacketReader()) if isinstance(alert, Alert)]
    where = [Position(a.identity.ra_deg, a.identity.dec_deg, a.identity.mjd) for a in alerts]
    ra, dec = np.array([position.ra_deg for position in where]), np.array([position.dec_deg for position in where])
    beside = HatsCatalogue(catalogue(tmp_path, table(ra, dec + ARCSEC), rows_per_tile=3))
    matches = beside.match(where)
    assert len(matches) == 20
    assert None not in names(matches)
    assert all(match.counterpart.separation_arcsec <= 1.0 + 1e-6 for match in matches if match.counterpart)
