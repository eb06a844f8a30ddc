"""What an alert is of: the sky around a place, and what changes there; the same for every detection of an object."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from broker_plugin.simulation.artefacts import Artefact, draw_artefact
from broker_plugin.simulation.exposure import Exposure
from broker_plugin.simulation.light_curves import (
    LightCurve,
    Steady,
    draw_eruptive,
    draw_explosion,
    draw_periodic,
    draw_random_walk,
)
from broker_plugin.simulation.sources import (
    Colours,
    Source,
    draw_field,
    draw_galaxy,
    draw_light_offset,
    galaxy_colours,
    nucleus_colours,
    variable_star_colours,
)

_FIELD_DEPTH_MAG = 2.0
"""How much fainter than 5 sigma of the pixel noise the faintest field source is."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How an asteroid moves: its rate on the sky, and the direction from x towards y."""

    arcsec_per_hour: float
    angle_rad: float


@dataclass(frozen=True, slots=True)
class Target:
    """An object.

    Attributes
    ----------
    class_name
        One of `CLASSES`.
    sources
        Constant sources in and around it, nearest first.
    unit_njy
        Flux that the light curve is in units of, nJy in r.
    unit_colours
        The same in the other bands.
    light_curve
        How it changes.
    motion
        Of an asteroid.
    artefact
        Of a bogus alert.
    """

    class_name: str
    sources: tuple[Source, ...]
    unit_njy: float
    unit_colours: Colours
    light_curve: LightCurve
    motion: Motion | None = None
    artefact: Artefact | None = None

    @property
    def kind(self) -> str:
        """Which sort of its class it is: one of `BOGUS_KINDS`, else what has such a light curve."""
        return self.light_curve.kind if self.artefact is None else self.artefact.kind

    def change_njy(self, days: np.ndarray, band: str) -> np.ndarray:
        """Flux of the difference in a band, days after the first alert; arrays of shape (n,)."""
        unit = self.unit_njy * 10.0 ** (-0.4 * self.unit_colours.offset_from_r(band))
        return np.asarray(unit * self.light_curve(days, band))


def draw_target(class_name: str, exposure: Exposure, recurring: bool, rng: np.random.Generator) -> Target:
    """Draw an object, such that the difference in this exposure has a flux as real alerts of its class have.

    Parameters
    ----------
    class_name
        One of `CLASSES`.
    exposure
        That of its first alert.
    recurring
        It shall be met again: a bogus alert is of a kind that can be.
    rng
        Where all randomness comes from.

    Raises
    ------
    KeyError
        If there is no such class.
    """
    flux = _draw_flux(class_name, exposure, rng)
    target = _DRAWERS[class_name](exposure, flux, recurring, rng)
    faintest = exposure.magnitude(exposure.five_sigma_flux) + _FIELD_DEPTH_MAG
    densities = {"stars": exposure.stars_per_arcsec2, "galaxies": exposure.galaxies_per_arcsec2}
    field = draw_field(exposure.neighbour_radius_arcsec, faintest, densities, rng)
    sources = sorted((*target.sources, *field), key=lambda source: source.distance_arcsec)
    return Target(
        class_name=class_name,
        sources=tuple(sources),
        unit_njy=target.unit_njy,
        unit_colours=target.unit_colours,
        light_curve=target.light_curve,
        motion=target.motion,
        artefact=target.artefact,
    )


def _draw_flux(class_name: str, exposure: Exposure, rng: np.random.Generator) -> float:
    """Number counts N(<m) ~ 10^(slope m), cut 6 magnitudes above the limit, where things start to saturate."""
    above_limit_mag = min(-math.log10(rng.uniform(1e-12, 1.0)) / exposure.counts_slope[class_name], 6.0)
    return float(1.2 * exposure.limit_flux * 10.0 ** (0.4 * above_limit_mag))


def _in_r_njy(flux: float, colours: Colours, exposure: Exposure) -> float:
    """A flux in the exposure's band as nJy in r."""
    return float(exposure.to_njy(flux) * 10.0 ** (0.4 * colours.offset_from_r(exposure.band)))


def _draw_agn(exposure: Exposure, flux: float, recurring: bool, rng: np.random.Generator) -> Target:
    relative_change = min(rng.lognormal(-1.0, 0.6) * exposure.subtlety, 0.95)
    sign = float(rng.choice((-1.0, 1.0)))
    nucleus = flux / relative_change
    # Three in four outshine their host, as quasars and blazars do; the others are Seyfert galaxies.
    host = nucleus * (rng.lognormal(-3.0, 0.8) if rng.random() < 0.75 else rng.lognormal(-0.3, 0.7))
    colours = nucleus_colours(rng)
    total_mag = exposure.magnitude(nucleus + host) - colours.offset_from_r(exposure.band)
    galaxy = draw_galaxy(total_mag + 2.5 * math.log10((nucleus + host) / host), rng)
    source = Source(0.0, 0.0, total_mag, colours, nucleus / (nucleus + host), galaxy)
    unit = _in_r_njy(nucleus, colours, exposure)
    return Target("AGN", (source,), unit, colours, draw_random_walk(sign * relative_change, exposure.band, rng))


def _draw_supernova(exposure: Exposure, flux: float, recurring: bool, rng: np.random.Generator) -> Target:
    host = flux * 10.0 ** (0.4 * rng.normal(0.9, 1.2))
    (colours,) = galaxy_colours(1, rng)
    r_mag = exposure.magnitude(host) - colours.offset_from_r(exposure.band)
    galaxy = draw_galaxy(r_mag, rng)
    dx, dy = draw_light_offset(galaxy, rng)
    sources = (Source(-dx, -dy, r_mag, colours, 0.0, galaxy),)
    flat = Colours(0.0, 0.0, 0.0)  # the light curve knows the bands
    return Target("SN", sources, exposure.to_njy(flux), flat, draw_explosion(exposure.band, rng))


def _draw_variable_star(exposure: Exposure, flux: float, recurring: bool, rng: np.random.Generator) -> Target:
    if rng.random() < 0.15:  # an eruption: several times as bright as before
        relative_change = rng.lognormal(1.2, 0.8)
        light_curve: LightCurve = draw_eruptive(relative_change, exposure.band, rng)
    else:
        relative_change = min(rng.lognormal(-1.1, 0.7) * exposure.subtlety, 0.95)
        light_curve = draw_periodic(float(rng.choice((-1.0, 1.0))) * relative_change, exposure.band, rng)
    colours = variable_star_colours(rng)
    r_mag = exposure.magnitude(flux / relative_change) - colours.offset_from_r(exposure.band)
    unit = _in_r_njy(flux / relative_change, colours, exposure)
    return Target("VS", (Source(0.0, 0.0, r_mag, colours, 1.0),), unit, colours, light_curve)


def _draw_asteroid(exposure: Exposure, flux: float, recurring: bool, rng: np.random.Generator) -> Target:
    # Main-belt rates of about 35 arcsec/h leave no trail in 30 s; one in five is a fast, near one.
    rate = (35.0 if rng.random() < 0.8 else 300.0) * rng.lognormal(0.0, 0.5)
    motion = Motion(rate, rng.uniform(-math.pi, math.pi))
    flat = Colours(0.0, 0.0, 0.0)
    return Target("asteroid", (), exposure.to_njy(flux), flat, Steady(), motion)


def _draw_bogus(exposure: Exposure, flux: float, recurring: bool, rng: np.random.Generator) -> Target:
    artefact = draw_artefact(exposure, flux, recurring, rng)
    sources = () if artefact.star is None else (artefact.star,)
    flat = Colours(0.0, 0.0, 0.0)
    return Target("bogus", sources, exposure.to_njy(flux), flat, Steady(), artefact=artefact)


_Drawer = Callable[[Exposure, float, bool, np.random.Generator], Target]

_DRAWERS: dict[str, _Drawer] = {
    "AGN": _draw_agn,
    "SN": _draw_supernova,
    "VS": _draw_variable_star,
    "asteroid": _draw_asteroid,
    "bogus": _draw_bogus,
}
