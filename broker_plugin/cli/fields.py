"""The fields of a packet that a reader looks at first, in groups, with their units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from broker_plugin.alert import Alert

_ZTF = {
    "difference image": {
        "magpsf": "mag", "sigmapsf": "mag", "isdiffpos": "", "diffmaglim": "mag", "fwhm": "pixels", "classtar": "",
        "elong": "", "nneg": "pixels", "nbad": "pixels", "rb": "", "drb": "",
    },
    "reference image": {"distnr": "arcsec", "magnr": "mag", "sigmagnr": "mag", "chinr": "", "sharpnr": ""},
    "catalogues": {
        "sgscore1": "", "distpsnr1": "arcsec", "sgmag1": "mag", "srmag1": "mag", "simag1": "mag", "szmag1": "mag",
        "neargaia": "arcsec", "maggaia": "mag", "ssdistnr": "arcsec", "ssmagnr": "mag", "ssnamenr": "",
    },
    "observations": {"ndethist": "", "ncovhist": "", "jdstarthist": "JD", "nid": "", "field": "", "programid": ""},
}  # fmt: skip
_RUBIN = {
    "fluxes": {
        "psfFlux": "nJy", "psfFluxErr": "nJy", "snr": "", "scienceFlux": "nJy", "scienceFluxErr": "nJy",
        "templateFlux": "nJy", "templateFluxErr": "nJy", "apFlux": "nJy", "reliability": "",
    },
    "shape": {
        "extendedness": "", "ixx": "arcsec^2", "iyy": "arcsec^2", "ixy": "arcsec^2", "ixxPSF": "arcsec^2",
        "iyyPSF": "arcsec^2", "ixyPSF": "arcsec^2", "trailLength": "arcsec", "isDipole": "", "bboxSize": "pixels",
    },
    "object": {
        "diaObject.nDiaSources": "", "diaObject.firstDiaSourceMjdTai": "MJD TAI", "diaObject.g_psfFluxMean": "nJy",
        "diaObject.r_psfFluxMean": "nJy", "diaObject.i_psfFluxMean": "nJy", "ssSource.heliocentricDist": "au",
        "ssSource.topocentricDist": "au", "ssSource.phaseAngle": "deg",
    },
    "exposure": {"visit": "", "detector": "", "x": "pixels", "y": "pixels"},
}  # fmt: skip
_GROUPS = {"ztf": _ZTF, "rubin": _RUBIN}


def grouped(alert: Alert) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Title and rows (name, value with unit) of each group of which the packet has something."""
    for title, fields in _GROUPS.get(alert.identity.survey or "", {}).items():
        rows = [(name, shown(alert.values[name], unit)) for name, unit in fields.items() if name in alert.values]
        if rows:
            yield title, rows
    flags = raised_flags(alert.values)
    if flags:
        yield "flags that are set", [(name, "yes") for name in flags]


def raised_flags(values: Mapping[str, Any]) -> list[str]:
    """Names of Rubin's quality flags that are true."""
    return [name for name, value in values.items() if value is True and "flag" in name.lower()]


def shown(value: Any, unit: str = "") -> str:
    """A value to read, with its unit."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    # Six digits hide nothing that is measured, but times are Julian dates; ids are integers, and whole.
    text = f"{value:{'.6g' if abs(value) < 1e5 else '.11g'}}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()
