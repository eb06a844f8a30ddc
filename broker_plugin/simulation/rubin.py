"""Writes a scene as a Rubin alert packet: Confluent wire format around one Avro record, schema 11.1.

Field names, types and meanings: https://github.com/lsst/alert_packet and https://sdm-schemas.lsst.io/apdb.html
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
from lsst.alert.packet import Schema, get_schema_path

from broker_plugin.simulation import fits, sky
from broker_plugin.simulation.measure import PsfPhotometry, aperture_sum
from broker_plugin.simulation.profiles import psf_stamp
from broker_plugin.simulation.scene import Exposure, Scene, Stamp, draw_scene

_SCHEMA_VERSION = (11, 1)
_WIRE_HEADER = b"\0" + (1101).to_bytes(4, "big")
"""Magic byte of the Confluent wire format, and the schema's id in the survey's registry."""

_PIXEL_SCALE_ARCSEC = 0.2
_ZERO_POINT_MAG = 31.4
"""AB magnitude of 1 nJy."""

_CONDITIONS = {
    # band: (electrons per nJy in 30 s, sky in nJy per pixel, seeing in arcsec).  Round numbers that give the noise
    # of the UNCERT planes of LSSTCam alerts (about 20 nJy a pixel in g, 40 in i); seeing as Ivezic et al. 2019,
    # ApJ 873, 111, table 2.
    "u": (0.33, 300.0, 0.81),
    "g": (1.85, 500.0, 0.77),
    "r": (1.5, 800.0, 0.73),
    "i": (1.1, 1500.0, 0.71),
    "z": (0.8, 2500.0, 0.69),
    "y": (0.39, 4500.0, 0.68),
}
_FULL_WELL_ELECTRONS = 1e5
_GALAXIES_PER_ARCSEC2 = 0.004
_PSF_PIXELS = 41
_DETECTOR = (4096.0, 4004.0)
_APERTURE_PIXELS = 12.0

_MJD_OF_FIRST_ALERT = 60900.0
_MJD_EPOCH = date(1858, 11, 17)


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
        Its ``diaSourceId``, and the packet.
    """
    ra, dec = sky.draw_position(class_name, (-80.0, 15.0), rng)
    scene = draw_scene(class_name, draw_exposure(ra, dec, rng), rng)
    alert = build_alert(scene, ra, dec, rng)
    return alert["diaSourceId"], encode(alert)


def draw_exposure(ra: float, dec: float, rng: np.random.Generator) -> Exposure:
    """Draw the conditions of one visit to this place (degrees); fluxes are in nJy."""
    band = str(rng.choice(tuple(_CONDITIONS), p=(0.06, 0.1, 0.22, 0.22, 0.2, 0.2)))
    electrons_per_njy, typical_sky, typical_seeing = _CONDITIONS[band]
    saturation = _FULL_WELL_ELECTRONS / electrons_per_njy
    return Exposure(
        band=band,
        zero_point_mag=_ZERO_POINT_MAG,
        pixel_scale_arcsec=_PIXEL_SCALE_ARCSEC,
        seeing_arcsec=typical_seeing * rng.lognormal(0.15, 0.15),
        moffat_beta=3.5,
        electrons_per_unit=electrons_per_njy,
        sky=typical_sky * rng.lognormal(0.0, 0.3),
        pedestal=0.0,
        read_noise_electrons=9.0,
        template_exposures=int(rng.integers(10, 60)),
        saturation=saturation,
        saturated_value=saturation,
        duration_s=30.0,
        stamp_pixels=(30, 93),
        neighbour_radius_arcsec=10.0,
        stars_per_arcsec2=sky.stars_per_arcsec2(sky.to_galactic(ra, dec)[1]),
        galaxies_per_arcsec2=_GALAXIES_PER_ARCSEC2,
    )


def encode(alert: Mapping[str, Any]) -> bytes:
    """Write an alert as it comes off the survey's Kafka stream."""
    buffer = io.BytesIO()
    buffer.write(_WIRE_HEADER)
    fastavro.schemaless_writer(buffer, _schema(), alert)
    return buffer.getvalue()


def build_alert(scene: Scene, ra: float, dec: float, rng: np.random.Generator) -> dict[str, Any]:
    """Turn a scene into the record of an alert.

    What the image determines is measured on it or follows from its truth; the rest is drawn at random.
    """
    rotation_rad = rng.uniform(-math.pi, math.pi)
    source = {
        **_blank("diaSource"),
        **_visit_fields(scene, ra, dec, rng),
        **_flux_fields(scene),
        **_shape_fields(scene, rng),
        **_trail_fields(scene, ra, dec, rotation_rad, rng),
        **_dipole_fields(scene, rotation_rad),
        **_pixel_flags(scene),
        "reliability": rng.beta(1.5, 5.0) if scene.class_name == "bogus" else rng.beta(8.0, 1.0),
        "reliabilityVersion": "simulated",
    }
    alert: dict[str, Any] = {
        "diaSourceId": source["diaSourceId"],
        "observation_reason": "simulated",
        "target_name": None,
        "diaSource": source,
        "prvDiaSources": None,
        "prvDiaForcedSources": None,
        "diaObject": None,
        "ssSource": None,
        "mpc_orbits": None,
        "cutoutDifference": _cutout(scene, scene.difference, ra, dec, rotation_rad, _difference_variance(scene)),
        "cutoutScience": _cutout(scene, scene.science, ra, dec, rotation_rad, scene.science_variance),
        "cutoutTemplate": _cutout(scene, scene.template, ra, dec, rotation_rad, scene.template_variance),
    }
    if scene.class_name == "asteroid":
        alert["ssSource"] = _solar_system_source(scene, source, rotation_rad, rng)
        source["ssObjectId"] = alert["ssSource"]["ssObjectId"]
    else:
        history = _previous_sources(scene, source, rng)
        # An object has the id of its first source.
        object_id = (history or [source])[0]["diaSourceId"]
        for detection in (*history, source):
            detection["diaObjectId"] = object_id
        alert["prvDiaSources"] = history or None
        alert["diaObject"] = _dia_object(source, history)
    return alert


@cache
def _schema() -> Any:
    major, minor = _SCHEMA_VERSION
    path = Path(get_schema_path(major, minor)) / f"lsst.v{major}_{minor}.alert.avsc"
    return Schema.from_file(str(path)).definition


@cache
def _fields(record_name: str) -> tuple[tuple[str, Any], ...]:
    """Name and type of each field of a record that stands in a field of the alert of the same name."""
    declared = next(field["type"] for field in _schema()["fields"] if field["name"] == record_name)
    record = declared if isinstance(declared, dict) else declared[1]
    return tuple((field["name"], field["type"]) for field in record["fields"])


def _blank(record_name: str) -> dict[str, Any]:
    """A record in which no flag is raised, each count is zero and nothing else is known."""
    return {name: _blank_value(avro_type) for name, avro_type in _fields(record_name)}


def _blank_value(avro_type: Any) -> bool | int | None:
    if "boolean" in avro_type:
        return False
    return 0 if avro_type == "int" else None


def _visit_fields(scene: Scene, ra: float, dec: float, rng: np.random.Generator) -> dict[str, Any]:
    # Night falls on Cerro Pachon at about 0h TAI and ends at about 10h.
    mjd = math.floor(rng.uniform(_MJD_OF_FIRST_ALERT + 80.0, _MJD_OF_FIRST_ALERT + 600.0)) + rng.uniform(0.02, 0.4)
    x, y = rng.uniform(60.0, _DETECTOR[0] - 60.0), rng.uniform(60.0, _DETECTOR[1] - 60.0)
    error_arcsec = scene.exposure.psf_sigma_arcsec / abs(scene.photometry.snr)
    error_deg, error_pixels = error_arcsec / 3600.0, error_arcsec / scene.exposure.pixel_scale_arcsec
    return {
        "diaSourceId": _source_id(mjd, rng),
        "visit": _visit(mjd),
        "detector": int(rng.integers(189)),
        "midpointMjdTai": mjd,
        "timeProcessedMjdTai": mjd + 60.0 / 86400.0,
        "exposureTime": scene.exposure.duration_s,
        "band": scene.exposure.band,
        "ra": ra,
        "raErr": error_deg,
        "dec": dec,
        "decErr": error_deg,
        "ra_dec_Cov": 0.0,
        "x": x,
        "xErr": error_pixels,
        "y": y,
        "yErr": error_pixels,
        "bboxSize": scene.footprint_pixels,
    }


def _source_id(mjd: float, rng: np.random.Generator) -> int:
    """Eighteen digits that grow with time, as the survey's do."""
    return 169_191_000_000_000_000 + int((mjd - _MJD_OF_FIRST_ALERT) * 1e7) * 440_000 + int(rng.integers(440_000))


def _visit(mjd: float) -> int:
    """Day of the observation and number of the exposure in that night, as decimal digits side by side."""
    night = _MJD_EPOCH + timedelta(days=math.floor(mjd - 0.5))
    sequence = math.floor((mjd - 0.5) % 1.0 * 86400.0 / 40.0)
    return int(f"{night:%Y%m%d}{sequence:05d}")


def _flux_fields(scene: Scene) -> dict[str, Any]:
    photometry = scene.photometry
    aperture, pixels = aperture_sum(scene.difference, scene.x_pixels, scene.y_pixels, _APERTURE_PIXELS)
    return {
        "psfFlux": photometry.flux,
        "psfFluxErr": photometry.flux_error,
        "psfChi2": photometry.chi2,
        "psfNdata": photometry.pixels,
        "snr": abs(photometry.snr),
        "isNegative": photometry.flux < 0.0,
        "apFlux": aperture,
        "apFluxErr": math.sqrt(pixels * scene.exposure.sky_variance),
        "scienceFlux": scene.science_photometry.flux,
        "scienceFluxErr": scene.science_photometry.flux_error,
        "templateFlux": scene.template_photometry.flux,
        "templateFluxErr": scene.template_photometry.flux_error,
    }


def _shape_fields(scene: Scene, rng: np.random.Generator) -> dict[str, Any]:
    psf_variance = scene.exposure.psf_sigma_arcsec**2
    # Moments of a faint source are known to about 1 / snr.
    scatter = min(1.0 / abs(scene.photometry.snr), 0.25)
    ixx, iyy = np.array([scene.shape.ixx, scene.shape.iyy]) * rng.lognormal(0.0, scatter, 2)
    widening = (ixx + iyy) / (2.0 * psf_variance)
    return {
        "ixx": float(ixx),
        "iyy": float(iyy),
        "ixy": scene.shape.ixy + rng.normal(0.0, 0.3 * scatter) * psf_variance,
        "ixxPSF": psf_variance,
        "iyyPSF": psf_variance,
        "ixyPSF": 0.0,
        # A smooth step: half where the source is 1.4 times as broad as a point.
        "extendedness": 1.0 / (1.0 + math.exp(-10.0 * (widening - 1.4))),
    }


def _trail_fields(scene: Scene, ra: float, dec: float, rotation_rad: float, rng: np.random.Generator) -> dict[str, Any]:
    # The fit gives everything a trail; that of a point source is as long as its noise.
    noise_arcsec = scene.exposure.seeing_arcsec * abs(rng.normal(0.0, 1.0)) / math.sqrt(abs(scene.photometry.snr))
    return {
        "trailFlux": scene.photometry.flux * rng.lognormal(0.05, 0.03),
        "trailFluxErr": scene.photometry.flux_error,
        "trailRa": ra,
        "trailDec": dec,
        "trailLength": math.hypot(scene.trail_arcsec, noise_arcsec),
        "trailAngle": math.degrees(_bearing_rad(scene.trail_angle_rad, rotation_rad)),
        "trailAlgorithm": 1,
    }


def _dipole_fields(scene: Scene, rotation_rad: float) -> dict[str, Any]:
    dipole = scene.dipole
    if dipole is None:
        return {}
    return {
        "isDipole": True,
        "dipoleFitAttempted": True,
        "dipoleMeanFlux": dipole.mean_flux,
        "dipoleMeanFluxErr": scene.photometry.flux_error,
        "dipoleFluxDiff": 0.0,
        "dipoleFluxDiffErr": 2.0 * scene.photometry.flux_error,
        "dipoleLength": dipole.length_arcsec,
        "dipoleAngle": math.degrees(_bearing_rad(dipole.angle_rad, rotation_rad)),
        "dipoleChi2": scene.photometry.chi2,
        "dipoleNdata": scene.photometry.pixels,
    }


def _pixel_flags(scene: Scene) -> dict[str, Any]:
    saturated = scene.kind == "saturated_star"
    cosmic_ray = scene.kind == "cosmic_ray"
    bad = scene.kind == "bad_pixel"
    return {
        "pixelFlags": saturated or cosmic_ray or bad,
        "pixelFlags_saturated": saturated,
        "pixelFlags_cr": cosmic_ray,
        "pixelFlags_bad": bad,
    }


def _bearing_rad(angle_rad: float, rotation_rad: float) -> float:
    """Angle on the sky, from north through east, of a direction in the stamp (from x towards y)."""
    # The stamp's y axis points along `rotation_rad`, its x axis (seen from inside the sphere) a quarter turn before it.
    return math.remainder(rotation_rad - math.pi / 2.0 + angle_rad, 2.0 * math.pi)


def _difference_variance(scene: Scene) -> Stamp:
    return scene.science_variance + scene.template_variance


def _cutout(scene: Scene, stamp: Stamp, ra: float, dec: float, rotation_rad: float, variance: Stamp) -> bytes:
    """The stamp in the layout of astropy's CCDData: image and orientation, variance, point-spread function."""
    scale_deg = scene.exposure.pixel_scale_arcsec / 3600.0
    cosine, sine = scale_deg * math.cos(rotation_rad), scale_deg * math.sin(rotation_rad)
    cards: list[fits.Card] = [
        ("EXTEND", True),
        ("ROTPA", math.degrees(rotation_rad)),
        ("BUNIT", "nJy"),
        ("WCSAXES", 2),
        # FITS counts pixels from one.
        ("CRPIX1", scene.x_pixels + 1.0),
        ("CRPIX2", scene.y_pixels + 1.0),
        ("PC1_1", -cosine),
        ("PC1_2", sine),
        ("PC2_1", sine),
        ("PC2_2", cosine),
        ("CDELT1", 1.0),
        ("CDELT2", 1.0),
        ("CRVAL1", ra),
        ("CRVAL2", dec),
        ("LATPOLE", 90.0),
        ("MJDREF", 0.0),
    ]
    uncertainty: list[fits.Card] = [("UTYPE", "VarianceUncertainty"), ("EXTNAME", "UNCERT")]
    psf = psf_stamp(_PSF_PIXELS, scene.exposure.fwhm_pixels, scene.exposure.moffat_beta)
    psf /= psf.sum()
    return (
        fits.primary_hdu(stamp, cards)
        + fits.image_extension(variance, uncertainty)
        + fits.image_extension(psf, [("EXTNAME", "PSFIMAGE")])
    )


def _previous_sources(scene: Scene, source: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Earlier detections of the object, oldest first; none for half of all objects."""
    if rng.random() < 0.5:
        return []
    count = 1 + int(rng.lognormal(0.5 if scene.class_name in ("bogus", "SN") else 1.5, 0.8))
    mjds = source["midpointMjdTai"] - np.sort(rng.uniform(1.0, 60.0, count))[::-1]
    return [_previous_source(source, float(mjd), rng) for mjd in mjds]


def _previous_source(source: Mapping[str, Any], mjd: float, rng: np.random.Generator) -> dict[str, Any]:
    factor = rng.lognormal(0.0, 0.4)
    # What was found before stood above the threshold too.
    flux = math.copysign(max(abs(source["psfFlux"]) * factor, 5.0 * source["psfFluxErr"]), source["psfFlux"])
    photometry = PsfPhotometry(flux, source["psfFluxErr"], source["psfChi2"], source["psfNdata"])
    return {
        **source,
        "diaSourceId": _source_id(mjd, rng),
        "visit": _visit(mjd),
        "detector": int(rng.integers(189)),
        "midpointMjdTai": mjd,
        "timeProcessedMjdTai": mjd + 60.0 / 86400.0,
        "ra": source["ra"] + rng.normal(0.0, source["raErr"]) / math.cos(math.radians(source["dec"])),
        "dec": source["dec"] + rng.normal(0.0, source["decErr"]),
        "psfFlux": photometry.flux,
        "apFlux": photometry.flux,
        "trailFlux": photometry.flux,
        "snr": abs(photometry.snr),
        "scienceFlux": source["templateFlux"] + photometry.flux,
    }


def _dia_object(source: Mapping[str, Any], history: list[dict[str, Any]]) -> dict[str, Any]:
    # All of a simulated object's sources are in one band.
    detections = [*history, source]
    band = source["band"]
    fluxes = np.array([detection["psfFlux"] for detection in detections])
    science = np.array([detection["scienceFlux"] for detection in detections])
    count = len(detections)
    several = count > 1
    return {
        **_blank("diaObject"),
        "diaObjectId": source["diaObjectId"],
        "validityStartMjdTai": source["timeProcessedMjdTai"],
        "ra": float(np.mean([detection["ra"] for detection in detections])),
        "raErr": source["raErr"] / math.sqrt(count),
        "dec": float(np.mean([detection["dec"] for detection in detections])),
        "decErr": source["decErr"] / math.sqrt(count),
        "ra_dec_Cov": 0.0,
        f"{band}_psfFluxMean": float(fluxes.mean()),
        f"{band}_psfFluxMeanErr": source["psfFluxErr"] / math.sqrt(count),
        f"{band}_psfFluxSigma": float(fluxes.std(ddof=1)) if several else None,
        f"{band}_psfFluxNdata": count,
        f"{band}_psfFluxMin": float(fluxes.min()),
        f"{band}_psfFluxMax": float(fluxes.max()),
        f"{band}_psfFluxErrMean": source["psfFluxErr"],
        f"{band}_scienceFluxMean": float(science.mean()),
        f"{band}_scienceFluxMeanErr": source["scienceFluxErr"] / math.sqrt(count),
        "firstDiaSourceMjdTai": detections[0]["midpointMjdTai"],
        "lastDiaSourceMjdTai": source["midpointMjdTai"],
        "nDiaSources": count,
    }


def _solar_system_source(
    scene: Scene, source: Mapping[str, Any], rotation_rad: float, rng: np.random.Generator
) -> dict[str, Any]:
    ecliptic_longitude, ecliptic_latitude = sky.to_ecliptic(source["ra"], source["dec"])
    galactic_longitude, galactic_latitude = sky.to_galactic(source["ra"], source["dec"])
    object_id, designation = _designation(rng)
    # The trail is the motion during the exposure; degrees per day.
    rate = scene.trail_arcsec / 3600.0 / (scene.exposure.duration_s / 86400.0)
    bearing = _bearing_rad(scene.trail_angle_rad, rotation_rad)
    # Beyond the main belt's inner edge, seen near opposition.
    distance_au = rng.uniform(1.0, 2.5)
    return {
        **_blank("ssSource"),
        "diaSourceId": source["diaSourceId"],
        "ssObjectId": object_id,
        "designation": designation,
        "eclLambda": ecliptic_longitude,
        "eclBeta": ecliptic_latitude,
        "galLon": galactic_longitude,
        "galLat": galactic_latitude,
        "elongation": rng.uniform(120.0, 180.0),
        "phaseAngle": rng.uniform(0.0, 25.0),
        "topoRange": distance_au,
        "helioRange": distance_au + rng.uniform(0.85, 1.0),
        "ephRa": source["ra"],
        "ephDec": source["dec"],
        "ephVmag": scene.exposure.magnitude(abs(scene.photometry.flux)) + rng.normal(0.2, 0.3),
        "ephRate": rate,
        "ephRateRa": rate * math.sin(bearing),
        "ephRateDec": rate * math.cos(bearing),
        "ephOffset": 0.0,
        "diaDistanceRank": 1,
    }


def _designation(rng: np.random.Generator) -> tuple[int, str]:
    """A provisional designation, and the id that the survey makes of the characters of its packed form.

    https://www.minorplanetcenter.net/iau/info/PackedDes.html
    """
    year = int(rng.integers(0, 25))
    half_month = "ABCDEFGHJKLMNOPQRSTUVWXY"[rng.integers(24)]
    order = "ABCDEFGHJKLMNOPQRSTUVWXYZ"[rng.integers(25)]
    cycle = int(rng.integers(0, 100))
    packed = f"K{year:02d}{half_month}{cycle:02d}{order}"
    return int.from_bytes(packed.encode("ascii"), "big"), f"20{year:02d} {half_month}{order}{cycle or ''}"
