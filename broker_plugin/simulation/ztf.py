"""Writes a scene as a ZTF alert packet: an Avro container of one record, schema version 4.02.

Field names, types and meanings: https://zwickytransientfacility.github.io/ztf-avro-alert/schema.html
"""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import fastavro
import numpy as np

from broker_plugin.simulation import fits, sky
from broker_plugin.simulation.measure import aperture_sum
from broker_plugin.simulation.profiles import gaussian_sigma
from broker_plugin.simulation.scene import Exposure, FieldSource, Scene, Stamp, draw_scene

_VERSION = "4.02"
_MISSING = -999.0
"""What ZTF writes where a catalogue has no entry."""

_JD_OF_FIRST_NIGHT = 2457754.5
"""``nid``, the night number, counts days from 2017-01-01."""

_FILTERS = {"g": 1, "r": 2, "i": 3}
_CONDITIONS = {
    # band: (zero point in mag, sky in DN per pixel, seeing in arcsec), round numbers of the size met in public alerts.
    "g": (26.3, 110.0, 2.4),
    "r": (26.3, 180.0, 2.2),
    "i": (25.8, 280.0, 2.1),
}
_GAIN = 6.2
"""Electrons per DN (Dekany et al. 2020, PASP 132, 038001)."""

_QUADRANT = (3072.0, 3080.0)
"""Columns and rows of one detector quadrant."""

_GALAXIES_PER_ARCSEC2 = 0.0013
_ASTROMETRIC_ERROR_ARCSEC = 0.12
_TEMPLATE_DETECTION_SNR = 4.0
_TEMPLATE_PEAKS_PER_ARCSEC2 = 0.0025
_SUBTRACTION_ERROR = 0.02
"""Share of a source's flux that subtraction gets wrong: about what the ``scorr`` of real bright stars says."""

_PS1_DEPTH_MAG = 22.5
_PS1_RADIUS_ARCSEC = 30.0
_GAIA_DEPTH_MAG = 20.5
_GAIA_BRIGHT_MAG = 14.0

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


def draw_packet(class_name: str, rng: np.random.Generator) -> tuple[int, bytes]:
    """Draw one alert.

    Parameters
    ----------
    class_name
        One of the simulated classes.
    rng
        Where all randomness comes from.

    Returns
    -------
    tuple of int and bytes
        Its ``candid``, and the packet.
    """
    ra, dec = sky.draw_position(class_name, (-30.0, 89.0), rng)
    scene = draw_scene(class_name, draw_exposure(ra, dec, rng), rng)
    alert = build_alert(scene, ra, dec, rng)
    return alert["candid"], encode(alert)


def draw_exposure(ra: float, dec: float, rng: np.random.Generator) -> Exposure:
    """Draw the conditions of one exposure of this place (degrees); fluxes are in DN."""
    band = str(rng.choice(("g", "r", "i"), p=(0.45, 0.45, 0.1)))
    zero_point_mag, typical_sky, typical_seeing = _CONDITIONS[band]
    sky_dn = typical_sky * rng.lognormal(0.3, 0.5)  # from dark nights to the full moon
    return Exposure(
        band=band,
        zero_point_mag=zero_point_mag + rng.normal(0.0, 0.08),
        pixel_scale_arcsec=1.0,
        seeing_arcsec=typical_seeing * rng.lognormal(0.0, 0.15),
        moffat_beta=3.5,
        electrons_per_unit=_GAIN,
        sky=sky_dn,
        pedestal=sky_dn,
        read_noise_electrons=10.0,
        template_exposures=int(rng.integers(15, 41)),
        saturation=25_000.0,
        saturated_value=math.nan,
        duration_s=30.0,
        stamp_pixels=(63, 63),
        neighbour_radius_arcsec=40.0,
        stars_per_arcsec2=sky.stars_per_arcsec2(sky.to_galactic(ra, dec)[1]),
        galaxies_per_arcsec2=_GALAXIES_PER_ARCSEC2,
    )


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


def encode(alert: Mapping[str, Any]) -> bytes:
    """Write an alert as ZTF distributes it: an uncompressed container that holds its own schema."""
    buffer = io.BytesIO()
    # The survey's marker is random; this one depends on the alert alone, so that the bytes do.
    marker = int(alert["candid"]).to_bytes(16, "big")
    fastavro.writer(buffer, _parsed_schema(), [alert], codec="null", sync_marker=marker)
    return buffer.getvalue()


def build_alert(scene: Scene, ra: float, dec: float, rng: np.random.Generator) -> dict[str, Any]:
    """Turn a scene into the record of an alert.

    What the image determines is measured on it or follows from its truth; the rest is drawn at random.
    """
    epoch = _epoch_fields(scene, rng)
    candidate: dict[str, Any] = {
        **epoch,
        "ra": ra,
        "dec": dec,
        **_detection_fields(scene, rng),
        **_shape_fields(scene, rng),
        **_stamp_fields(scene),
        **_score_fields(scene, rng),
        **_reference_fields(scene, ra, dec, rng),
        **_panstarrs_fields(scene, rng),
        **_gaia_fields(scene, rng),
        **_solar_system_fields(scene, rng),
        **_history_fields(scene, epoch["jd"], rng),
        **_calibration_fields(scene, rng),
    }
    candid = candidate["pid"] * 1_000_000 + (15_000 if candidate["isdiffpos"] == "t" else 10_000) + candidate["tblid"]
    candidate["candid"] = candid
    candidate["magfromlim"] = candidate["diffmaglim"] - (candidate["magap"] or candidate["magpsf"])
    # Objects are named after the year of their first detection.
    name_year = 17 + int((candidate["jdstarthist"] - _JD_OF_FIRST_NIGHT) / 365.25)
    letters = "".join(chr(97 + letter) for letter in rng.integers(0, 26, 7))
    files = f"candid{candid}_pid{candidate['pid']}_targ"
    return {
        "schemavsn": _VERSION,
        "publisher": "simulated (broker_plugin.simulation)",
        "objectId": f"ZTF{name_year:02d}{letters}",
        "candid": candid,
        "candidate": candidate,
        "prv_candidates": _prv_candidates(candidate, rng),
        "fp_hists": None,
        "cutoutScience": _cutout(f"{files}_sci.fits.gz", scene.science),
        "cutoutTemplate": _cutout(f"candid{candid}_ref.fits.gz", scene.template),
        # ZTF subtracts the other way round for a source that faded: the detection is bright in its stamp either way.
        "cutoutDifference": _cutout(
            f"{files}_scimref.fits.gz", scene.difference if candidate["isdiffpos"] == "t" else -scene.difference
        ),
    }


@cache
def _parsed_schema() -> Any:
    return fastavro.parse_schema(schema())


def _record(name: str, table: str) -> dict[str, Any]:
    fields = [_field(*entry.split(":")) for entry in table.split()]
    return {"type": "record", "name": name, "version": _VERSION, "fields": fields}


def _field(name: str, type_name: str) -> dict[str, Any]:
    if type_name.endswith("?"):
        return _nullable(name, type_name[:-1])
    if type_name.endswith("~"):
        return {"name": name, "type": ["null", type_name[:-1]]}
    return {"name": name, "type": type_name}


def _nullable(name: str, inner: Any) -> dict[str, Any]:
    return {"name": name, "type": ["null", inner], "default": None}


def _cutout(file_name: str, stamp: Stamp) -> dict[str, Any]:
    image = fits.primary_hdu(stamp, [("BUNIT", "DN")])
    # No time stamp in the gzip header: it would make each run's bytes different.  Noise hardly compresses, so the
    # fastest level is within a few per cent of the best.
    return {"fileName": file_name, "stampData": gzip.compress(image, compresslevel=1, mtime=0)}


def _epoch_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    night = int(rng.integers(500, 3200))
    # Palomar observes from about 02h to 13h UTC.
    fraction = float(rng.uniform(0.1, 0.54))
    jd = round(_JD_OF_FIRST_NIGHT + night + fraction, 7)
    rcid = int(rng.integers(64))
    field = int(rng.integers(245, 880))
    fid = _FILTERS[scene.exposure.band]
    # Stamps of the detector's rim, which the survey cuts short, are left out.
    xpos, ypos = rng.uniform(32.0, _QUADRANT[0] - 32.0), rng.uniform(32.0, _QUADRANT[1] - 32.0)
    return {
        "jd": jd,
        "fid": fid,
        "pid": night * 1_000_000_000 + int(fraction * 1e5) * 10_000 + rcid * 100 + 15,
        "diffmaglim": scene.exposure.magnitude(scene.exposure.five_sigma_flux),
        "pdiffimfilename": None,
        "programpi": "simulated",
        "programid": 1,
        "tblid": int(rng.integers(60)),
        "nid": night,
        "rcid": rcid,
        "field": field,
        "xpos": xpos,
        "ypos": ypos,
        "mindtoedge": min(xpos, ypos, _QUADRANT[0] - xpos, _QUADRANT[1] - ypos),
        "rfid": field * 1_000_000 + 120_000 + fid * 100 + rcid,
        "jdstartref": jd - rng.uniform(200.0, 400.0),
        "jdendref": jd - rng.uniform(60.0, 200.0),
        "nframesref": scene.exposure.template_exposures,
        "exptime": scene.exposure.duration_s,
        "tooflag": 0,
    }


def _detection_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    photometry = scene.photometry
    sign = 1.0 if photometry.flux > 0.0 else -1.0
    magpsf = scene.exposure.magnitude(abs(photometry.flux))
    small, big = _aperture_magnitude(scene, sign, 4.0), _aperture_magnitude(scene, sign, 9.0)
    return {
        "isdiffpos": "t" if sign > 0.0 else "f",
        "magpsf": magpsf,
        "sigmapsf": _magnitude_error(_significance(scene)),
        "chipsf": photometry.chi2 / max(photometry.pixels - 1, 1),
        "magap": small[0],
        "sigmagap": small[1],
        "magapbig": big[0],
        "sigmagapbig": big[1],
        "magdiff": None if small[0] is None else small[0] - magpsf,
        "scorr": _significance(scene),
        "sky": rng.normal(0.0, 0.3),
    }


def _significance(scene: Scene) -> float:
    """Signal to noise of the detection, with what registration and point-spread function leave of a bright source."""
    photometry = scene.photometry
    left_over = _SUBTRACTION_ERROR * math.hypot(photometry.flux, scene.template_photometry.flux)
    return abs(photometry.flux) / math.hypot(photometry.flux_error, left_over)


def _aperture_magnitude(scene: Scene, sign: float, radius_pixels: float) -> tuple[float | None, float | None]:
    """Magnitude and its error within a radius, null where the sum has the other sign than the detection."""
    total, pixels = aperture_sum(scene.difference, scene.x_pixels, scene.y_pixels, radius_pixels)
    flux = sign * total
    if flux <= 0.0:
        return None, None
    noise = math.sqrt(pixels * scene.exposure.sky_variance)
    return scene.exposure.magnitude(flux), _magnitude_error(flux / noise)


def _magnitude_error(snr: float) -> float:
    return 2.5 / math.log(10.0) / snr


def _shape_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    major_true, minor_true = scene.shape.axes_arcsec
    scale = scene.exposure.pixel_scale_arcsec
    # Moments of a faint source are known to about 1 / snr.
    scatter = 0.04 + 0.5 / abs(scene.photometry.snr)  # the optics add to it: no star is quite round
    lengths = np.array([major_true, minor_true]) / scale * rng.lognormal(0.0, scatter, 2)
    minor, major = np.sort(lengths).tolist()
    fwhm = math.sqrt(major * minor) / gaussian_sigma(1.0)
    psf_sigma = scene.exposure.psf_sigma_arcsec / scale
    # The neural network of SExtractor gives point sources of any brightness about 0.98.
    mismatch = abs(math.log(math.sqrt(major * minor) / psf_sigma)) + 0.5 * math.log(major / minor)
    return {
        "fwhm": fwhm,
        "aimage": major,
        "bimage": minor,
        "aimagerat": major / fwhm,
        "bimagerat": minor / fwhm,
        "elong": major / minor,
        "classtar": float(np.clip(0.99 - 0.35 * mismatch**2 - _classtar_loss(scene, rng), 0.0, 1.0)),
        "seeratio": rng.lognormal(0.0, 0.1),
    }


def _classtar_loss(scene: Scene, rng: np.random.Generator) -> float:
    """How much less than a star a point source looks: mostly little, now and then a lot, the more the fainter."""
    return float(rng.gamma(0.4, 0.05 * (1.0 + 10.0 / abs(scene.photometry.snr))))


def _stamp_fields(scene: Scene) -> dict[str, Any]:
    row, column = round(scene.y_pixels), round(scene.x_pixels)
    core = scene.difference[row - 2 : row + 3, column - 2 : column + 3]
    finite = core[np.isfinite(core)] * np.sign(scene.photometry.flux)
    absolute = float(np.sum(np.abs(finite)))
    return {
        "nneg": int(np.count_nonzero(finite < 0.0)),
        "nbad": int(core.size - finite.size),
        "sumrat": float(np.sum(finite)) / absolute if absolute else None,
    }


def _score_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    """The survey's own scores of real against bogus; one alert in fifty gets the wrong one."""
    looks_real = (scene.class_name != "bogus") != (rng.random() < 0.02)
    return {
        "rb": rng.beta(10.0, 2.5) if looks_real else rng.beta(6.0, 6.0),
        "rbversion": "simulated",
        "drb": 1.0 - rng.beta(0.5, 30.0) if looks_real else rng.beta(0.4, 12.0),
        "drbversion": "simulated",
    }


def _reference_fields(scene: Scene, ra: float, dec: float, rng: np.random.Generator) -> dict[str, Any]:
    """The nearest source in the template; DAOPHOT's chi and sharpness grow with its extension (Stetson 1987)."""
    # At the limit of the template the next source is a peak of the noise, as sharp as one.
    peak_arcsec = math.sqrt(-math.log(rng.uniform(1e-12, 1.0)) / (math.pi * _TEMPLATE_PEAKS_PER_ARCSEC2))
    depth = math.sqrt(scene.exposure.template_exposures)
    nearest = next((s for s in scene.references if _template_snr(s, scene) > _TEMPLATE_DETECTION_SNR), None)
    if nearest is None or nearest.distance_arcsec > peak_arcsec:
        angle = rng.uniform(0.0, 2.0 * math.pi)
        x_arcsec, y_arcsec = peak_arcsec * math.cos(angle), peak_arcsec * math.sin(angle)
        snr = _TEMPLATE_DETECTION_SNR * rng.lognormal(0.2, 0.25)
        magnitude = scene.exposure.magnitude(scene.exposure.five_sigma_flux * snr / 5.0 / depth)
        chi, sharpness = 0.9 * rng.lognormal(-0.1, 0.25), rng.normal(-0.25, 0.15)
    else:
        x_arcsec, y_arcsec = _astrometry(nearest, rng)
        snr = _template_snr(nearest, scene)
        magnitude = nearest.magnitude
        chi = (0.7 + 6.0 * nearest.extension * min(snr / 50.0, 1.0)) * rng.lognormal(0.0, 0.25)
        sharpness = 0.5 * nearest.extension - 0.02 + rng.normal(0.0, 0.02 + 1.0 / snr)
    error = _magnitude_error(snr)
    return {
        "distnr": math.hypot(x_arcsec, y_arcsec),
        "magnr": magnitude + rng.normal(0.0, error),
        "sigmagnr": error,
        "chinr": chi,
        "sharpnr": sharpness,
        "ranr": (ra - x_arcsec / 3600.0 / math.cos(math.radians(dec))) % 360.0,
        "decnr": dec + y_arcsec / 3600.0,
    }


def _template_snr(source: FieldSource, scene: Scene) -> float:
    depth = math.sqrt(scene.exposure.template_exposures)
    return 5.0 * depth * scene.exposure.flux(source.magnitude) / scene.exposure.five_sigma_flux


def _astrometry(source: FieldSource, rng: np.random.Generator) -> tuple[float, float]:
    """Offset of a source from the alert along x and y, arcsec, as well as two catalogues agree on it."""
    dx, dy = rng.normal(0.0, _ASTROMETRIC_ERROR_ARCSEC, 2)
    return source.x_arcsec + dx, source.y_arcsec + dy


def _panstarrs_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    """The three nearest PS1 sources and their star/galaxy score (Tachibana & Miller 2018, PASP 130, 128001)."""
    matches = [
        source
        for source in scene.references
        if source.magnitude < _PS1_DEPTH_MAG and source.distance_arcsec < _PS1_RADIUS_ARCSEC
    ]
    fields: dict[str, Any] = {"nmtchps": len(matches)}
    for rank in (1, 2, 3):
        match = matches[rank - 1] if len(matches) >= rank else None
        fields |= {f"{name}{rank}": value for name, value in _panstarrs_match(match, rng).items()}
    return fields


def _panstarrs_match(match: FieldSource | None, rng: np.random.Generator) -> dict[str, Any]:
    names = ("sgmag", "srmag", "simag", "szmag", "sgscore", "distpsnr")
    if match is None:
        return {**dict.fromkeys(names, _MISSING), "objectidps": None}
    g_r, r_i, i_z = _colours(match, rng)
    # The fainter the source, the less its score says: it tends to one half.
    certainty = float(np.clip((22.5 - match.magnitude) / 3.0, 0.1, 1.0))
    score = 0.5 + certainty * (0.02 + 0.97 * match.point_fraction - 0.5) + rng.normal(0.0, 0.02 + 0.1 * (1 - certainty))
    return {
        **_seen_bands(
            {
                "sgmag": match.magnitude + g_r,
                "srmag": match.magnitude,
                "simag": match.magnitude - r_i,
                "szmag": match.magnitude - r_i - i_z,
            },
            rng,
        ),
        "sgscore": float(np.clip(score, 0.0, 1.0)),
        "distpsnr": math.hypot(*_astrometry(match, rng)),
        "objectidps": int(rng.integers(10**16, 2 * 10**17)),
    }


def _colours(source: FieldSource, rng: np.random.Generator) -> tuple[float, float, float]:
    """g-r, r-i and i-z of a star, a galaxy or an active nucleus, AB magnitudes.

    Stars keep to their locus (its bends as in High et al. 2009, AJ 138, 110, figure 1), power laws of active nuclei
    are redder in i-z than stars of the same g-r, galaxies lie between.  The bands were not taken at the same time:
    what varies has colours that scatter.
    """
    if source.point_fraction == 0.0:
        g_r, r_i, i_z = rng.normal((0.65, 0.37, 0.3), (0.35, 0.18, 0.15)).tolist()
    elif source.point_fraction < 1.0:
        g_r, r_i, i_z = rng.normal((0.45, 0.28, 0.22), (0.25, 0.15, 0.18)).tolist()
    else:
        g_i = rng.gamma(2.5, 0.45) - 0.2
        g_r, r_i = (0.72 * g_i, 0.28 * g_i) if g_i < 1.9 else (1.37 + 0.05 * (g_i - 1.9), 0.53 + 0.95 * (g_i - 1.9))
        i_z = 0.5 * r_i
        g_r, r_i, i_z = (np.array([g_r, r_i, i_z]) + rng.normal(0.0, 0.12, 3)).tolist()
    return g_r, r_i, i_z


def _seen_bands(magnitudes: dict[str, float], rng: np.random.Generator) -> dict[str, float]:
    """The magnitudes that the catalogue has: a band is missing the more often, the fainter the source is in it."""
    return {
        name: magnitude if rng.random() > 0.5 * (1.0 + math.tanh(magnitude - 22.5)) else _MISSING
        for name, magnitude in magnitudes.items()
    }


def _gaia_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    stars = [source for source in scene.references if source.point_fraction > 0.5]
    near = next((star for star in stars if star.magnitude < _GAIA_DEPTH_MAG), None)
    bright = next((star for star in stars if star.magnitude < _GAIA_BRIGHT_MAG), None)
    return {
        "neargaia": math.hypot(*_astrometry(near, rng)) if near else _MISSING,
        "maggaia": near.magnitude if near else _MISSING,
        "neargaiabright": math.hypot(*_astrometry(bright, rng)) if bright else _MISSING,
        "maggaiabright": bright.magnitude if bright else _MISSING,
    }


def _solar_system_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    if scene.class_name != "asteroid":
        return {"ssdistnr": _MISSING, "ssmagnr": _MISSING, "ssnamenr": "null"}
    # Ephemerides are listed to whole arcseconds, and predict V from a poorly known absolute magnitude.
    predicted = scene.exposure.magnitude(abs(scene.photometry.flux)) + rng.normal(-0.3, 0.3)
    return {
        "ssdistnr": float(rng.integers(0, 2)),
        "ssmagnr": round(predicted, 1),
        "ssnamenr": str(int(rng.integers(1, 620_000))),
    }


_LOG_DETECTIONS = {"AGN": 3.5, "VS": 3.5, "SN": 2.5, "asteroid": -1.0, "bogus": 0.7}
"""Logarithm of the typical number of earlier detections at the place; broad, so that classes overlap."""


def _history_fields(scene: Scene, jd: float, rng: np.random.Generator) -> dict[str, Any]:
    detections = 1 + int(rng.lognormal(_LOG_DETECTIONS[scene.class_name], 1.2))
    first = jd
    if detections > 1:
        longest_days = min(jd - _JD_OF_FIRST_NIGHT - 400.0, 120.0 if scene.class_name == "SN" else 2000.0)
        first = jd - rng.uniform(1.0, max(longest_days, 2.0))
    return {
        "ndethist": detections,
        "ncovhist": detections + int(rng.lognormal(6.0, 1.2)),
        "jdstarthist": first,
        "jdendhist": jd,
    }


def _calibration_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    zero_point = scene.exposure.zero_point_mag
    science_spread, difference_spread = float(np.nanstd(scene.science)), float(np.nanstd(scene.difference))
    return {
        "ssnrms": science_spread,
        "dsnrms": difference_spread,
        "dsdiff": difference_spread - science_spread,
        "magzpsci": zero_point,
        "magzpsciunc": rng.uniform(1e-5, 1e-4),
        "magzpscirms": rng.uniform(0.02, 0.06),
        "nmatches": int(rng.integers(300, 3000)),
        "clrcoeff": rng.normal(0.0, 0.05),
        "clrcounc": rng.uniform(1e-5, 1e-4),
        "zpclrcov": -rng.uniform(1e-5, 1e-4),
        "zpmed": zero_point + rng.normal(0.0, 0.03),
        "clrmed": rng.uniform(0.5, 0.8),
        "clrrms": rng.uniform(0.15, 0.3),
    }


def _prv_candidates(candidate: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]] | None:
    """Thirty days of earlier epochs, oldest first: detections, and upper limits where ``candid`` is null."""
    epochs = int(rng.integers(0, 16))
    if not epochs:
        return None
    detections_left = candidate["ndethist"] - 1
    earliest = max(candidate["jdstarthist"], candidate["jd"] - 30.0)
    history = []
    for jd in np.sort(candidate["jd"] - rng.uniform(1.0, 30.0, epochs)).tolist():
        limit = _prv_limit(candidate, jd, rng)
        if detections_left and jd >= earliest and rng.random() < 0.6:
            detections_left -= 1
            limit |= _prv_detection(candidate, limit, rng)
        history.append(limit)
    return history


def _prv_limit(candidate: Mapping[str, Any], jd: float, rng: np.random.Generator) -> dict[str, Any]:
    night = int(jd - _JD_OF_FIRST_NIGHT)
    fraction = jd - _JD_OF_FIRST_NIGHT - night
    copied = ("programpi", "programid", "rcid", "field", "magzpsci", "magzpscirms", "clrcoeff", "clrcounc", "rbversion")
    return {
        # The first of a record's nullable fields have no default; the rest fall back to theirs.
        **dict.fromkeys(("candid", "isdiffpos", "ra", "dec", "magpsf", "sigmapsf", "ranr", "decnr")),
        **{name: candidate[name] for name in copied},
        "jd": round(jd, 7),
        "fid": int(rng.integers(1, 3)),
        "pid": night * 1_000_000_000 + int(fraction * 1e5) * 10_000 + candidate["rcid"] * 100 + 15,
        "nid": night,
        "diffmaglim": candidate["diffmaglim"] + rng.normal(0.0, 0.3),
    }


def _prv_detection(candidate: Mapping[str, Any], limit: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """What a detection has and an upper limit lacks: the object's values, scattered, never fainter than the limit."""
    magpsf = min(candidate["magpsf"] + rng.normal(0.0, 0.4), limit["diffmaglim"])
    snr = 5.0 * 10.0 ** (0.4 * (limit["diffmaglim"] - magpsf))
    tblid = int(rng.integers(60))
    positive = candidate["isdiffpos"] == "t"
    constant = ("isdiffpos", "distnr", "magnr", "sigmagnr", "chinr", "sharpnr", "ssdistnr", "ssmagnr", "ssnamenr")
    scattered = ("chipsf", "fwhm", "aimage", "bimage", "seeratio")
    return {
        **{name: candidate[name] for name in (*constant, "ranr", "decnr", "nbad", "nneg", "sumrat", "classtar", "rb")},
        **{name: candidate[name] * rng.lognormal(0.0, 0.1) for name in scattered},
        "candid": limit["pid"] * 1_000_000 + (15_000 if positive else 10_000) + tblid,
        "tblid": tblid,
        "ra": candidate["ra"] + rng.normal(0.0, 3e-5),
        "dec": candidate["dec"] + rng.normal(0.0, 3e-5),
        "xpos": rng.uniform(32.0, _QUADRANT[0] - 32.0),
        "ypos": rng.uniform(32.0, _QUADRANT[1] - 32.0),
        "magpsf": magpsf,
        "sigmapsf": _magnitude_error(snr),
        "scorr": snr,
    }
