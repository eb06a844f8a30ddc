"""Draws what the camera saw: the three stamps of one alert, and the truth behind them.

The model is deliberately simple.  One point-spread function holds for both epochs, noise is Gaussian with the
variance of the photons and of the read-out, correlated in the template as resampling leaves it, and the difference
image is literally the science image minus the template image.  Fluxes are in the survey's own unit: DN for ZTF,
nJy for Rubin.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from broker_plugin.simulation.measure import MIN_SNR, PsfPhotometry, fit_psf
from broker_plugin.simulation.profiles import gaussian_sigma, psf_image, sersic_image, trail_image

CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")
"""The classes drawn, in the order in which a simulation cycles through them."""

BOGUS_KINDS = ("cosmic_ray", "bad_pixel", "dipole", "saturated_star", "residual")
"""What a bogus alert may be."""

_BOGUS_SHARES = (0.15, 0.1, 0.2, 0.2, 0.35)

Image = NDArray[np.float64]
Stamp = NDArray[np.float32]

_RESAMPLING_WEIGHT = 0.13
"""Share of a template's pixel that its next neighbours get: correlates them by 0.25, as in ZTF's templates."""

_TEMPLATE_KERNEL = np.outer(*2 * [np.array([_RESAMPLING_WEIGHT, 1.0, _RESAMPLING_WEIGHT])])
_TEMPLATE_KERNEL /= math.sqrt(float(np.sum(_TEMPLATE_KERNEL**2)))  # the variance stays what it was


@dataclass(frozen=True, slots=True)
class Exposure:
    """One science exposure, and the template that is subtracted from it.

    Attributes
    ----------
    band
        Name of the passband.
    zero_point_mag
        AB magnitude of a source of one flux unit.
    pixel_scale_arcsec
        Side of a pixel.
    seeing_arcsec
        Full width at half maximum of the point-spread function.
    moffat_beta
        Wing exponent of the point-spread function; infinity is a Gaussian.
    electrons_per_unit
        Photo-electrons in one flux unit.
    sky
        Sky brightness, flux units per pixel; it makes noise even where it was subtracted.
    pedestal
        The part of the sky that is left in the science and template stamps, flux units per pixel.
    read_noise_electrons
        Read noise per pixel, electrons.
    template_exposures
        How many exposures of the same depth were averaged into the template.
    saturation
        Level above which a pixel is useless, flux units above the pedestal.
    saturated_value
        What the survey writes into such a pixel, NaN or a plateau.
    duration_s
        Exposure time, seconds.
    stamp_pixels
        Smallest and largest side of a stamp; a stamp grows with the footprint of its source.
    neighbour_radius_arcsec
        How far from the alert field sources are drawn.
    stars_per_arcsec2, galaxies_per_arcsec2
        Density of field sources, down to the depth of the catalogues.
    """

    band: str
    zero_point_mag: float
    pixel_scale_arcsec: float
    seeing_arcsec: float
    moffat_beta: float
    electrons_per_unit: float
    sky: float
    pedestal: float
    read_noise_electrons: float
    template_exposures: int
    saturation: float
    saturated_value: float
    duration_s: float
    stamp_pixels: tuple[int, int]
    neighbour_radius_arcsec: float
    stars_per_arcsec2: float
    galaxies_per_arcsec2: float

    @property
    def fwhm_pixels(self) -> float:
        """Full width at half maximum of the point-spread function, pixels."""
        return self.seeing_arcsec / self.pixel_scale_arcsec

    @property
    def psf_sigma_arcsec(self) -> float:
        """Standard deviation of the Gaussian of the same full width at half maximum, arcsec."""
        return gaussian_sigma(self.seeing_arcsec)

    @property
    def sky_variance(self) -> float:
        """Variance of one science pixel without a source, flux units squared."""
        return self.sky / self.electrons_per_unit + (self.read_noise_electrons / self.electrons_per_unit) ** 2

    @property
    def five_sigma_flux(self) -> float:
        """Flux of a point source that stands 5 sigma above the sky of the difference image, flux units.

        The effective area of 2.266 (FWHM / pixel)^2 pixels is that of SMTN-002 (https://smtn-002.lsst.io).
        """
        effective_pixels = 2.266 * self.fwhm_pixels**2
        variance = self.sky_variance * (1.0 + 1.0 / self.template_exposures)
        return 5.0 * math.sqrt(effective_pixels * variance)

    def magnitude(self, flux: float) -> float:
        """AB magnitude of a positive flux."""
        return self.zero_point_mag - 2.5 * math.log10(flux)

    def flux(self, magnitude: float) -> float:
        """Flux of an AB magnitude, flux units."""
        return float(10.0 ** (0.4 * (self.zero_point_mag - magnitude)))


@dataclass(frozen=True, slots=True)
class FieldSource:
    """A constant source of the template, as a reference catalogue would list it.

    Attributes
    ----------
    x_arcsec, y_arcsec
        Offset from the alert along the stamp's axes.
    magnitude
        Total AB magnitude in the band of the exposure.
    point_fraction
        Share of its light that is point-like: 1 a star, 0 a galaxy, between them an active nucleus and its host.
    extension
        How much wider than a point source it is, 0 to 1: r_e^2 / (r_e^2 + sigma_psf^2) times the extended share.
    """

    x_arcsec: float
    y_arcsec: float
    magnitude: float
    point_fraction: float
    extension: float

    @property
    def distance_arcsec(self) -> float:
        """Distance from the alert, arcsec."""
        return math.hypot(self.x_arcsec, self.y_arcsec)


@dataclass(frozen=True, slots=True)
class Shape:
    """Second moments of the source in the difference image, arcsec squared, axes along the stamp's x and y."""

    ixx: float
    iyy: float
    ixy: float

    @classmethod
    def round(cls, sigma_arcsec: float) -> Shape:
        """A circular Gaussian."""
        return cls(sigma_arcsec**2, sigma_arcsec**2, 0.0)

    def stretched(self, variance_arcsec2: float, angle_rad: float) -> Shape:
        """The same shape smeared along one direction by this variance."""
        cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
        return Shape(
            self.ixx + variance_arcsec2 * cosine**2,
            self.iyy + variance_arcsec2 * sine**2,
            self.ixy + variance_arcsec2 * cosine * sine,
        )

    @property
    def axes_arcsec(self) -> tuple[float, float]:
        """Root-mean-square lengths of the major and minor axis, arcsec."""
        mean = 0.5 * (self.ixx + self.iyy)
        spread = math.hypot(0.5 * (self.ixx - self.iyy), self.ixy)
        return math.sqrt(mean + spread), math.sqrt(max(mean - spread, 0.01 * mean))


@dataclass(frozen=True, slots=True)
class Dipole:
    """The truth of a misregistered subtraction: a source that moved between template and science image.

    Attributes
    ----------
    mean_flux
        Flux of the source, flux units.
    length_arcsec, angle_rad
        The shift, and its direction from the stamp's x towards its y.
    """

    mean_flux: float
    length_arcsec: float
    angle_rad: float


@dataclass(frozen=True, slots=True)
class Scene:
    """The stamps of one alert and the truth that they were drawn from.

    Attributes
    ----------
    class_name, kind
        One of `CLASSES`, and which sort of it: one of `BOGUS_KINDS`, else the class again.
    exposure
        The exposure and its template.
    x_pixels, y_pixels
        Zero-based position of the source in the stamp, pixels.
    science, template, difference
        The stamps, flux units, float32; difference is exactly science minus template.
    science_variance, template_variance
        Variance of each pixel, flux units squared, float32.
    photometry, science_photometry, template_photometry
        Point-spread-function fits at the source, of the difference, science and template stamp.
    shape
        Second moments of the source in the difference image.
    trail_arcsec, trail_angle_rad
        How far it moved during the exposure, and where to, from the stamp's x towards its y.
    dipole
        The misregistration, where there is one.
    footprint_pixels
        Side of the square that holds the source.
    references
        Constant sources around the alert, nearest first.
    """

    class_name: str
    kind: str
    exposure: Exposure
    x_pixels: float
    y_pixels: float
    science: Stamp
    template: Stamp
    difference: Stamp
    science_variance: Stamp
    template_variance: Stamp
    photometry: PsfPhotometry
    science_photometry: PsfPhotometry
    template_photometry: PsfPhotometry
    shape: Shape
    trail_arcsec: float
    trail_angle_rad: float
    dipole: Dipole | None
    footprint_pixels: int
    references: tuple[FieldSource, ...]


@dataclass(slots=True)
class _Canvas:
    """The expected images above the pedestal, while a class puts its light into them."""

    exposure: Exposure
    x: Image
    y: Image
    science: Image
    template: Image
    references: list[FieldSource]
    shape: Shape
    kind: str
    trail_arcsec: float = 0.0
    trail_angle_rad: float = 0.0
    dipole: Dipole | None = None

    def point(self, flux: float, dx: float = 0.0, dy: float = 0.0, widening: float = 1.0) -> Image:
        """A point source ``dx, dy`` pixels from the alert."""
        exposure = self.exposure
        return flux * psf_image(self.x - dx, self.y - dy, exposure.fwhm_pixels * widening, exposure.moffat_beta)

    def add_constant(self, image: Image) -> None:
        """Put light into both epochs."""
        self.science += image
        self.template += image

    def refer(self, flux: float, dx: float, dy: float, point_fraction: float, extension: float) -> None:
        """List a constant source ``dx, dy`` pixels from the alert among the reference sources."""
        scale = self.exposure.pixel_scale_arcsec
        magnitude = self.exposure.magnitude(flux)
        self.references.append(FieldSource(dx * scale, dy * scale, magnitude, point_fraction, extension))


@dataclass(frozen=True, slots=True)
class _Event:
    """What changed between the epochs: its flux (positive), and the length and direction of its trail."""

    flux: float
    trail_arcsec: float
    trail_angle_rad: float


def draw_scene(class_name: str, exposure: Exposure, rng: np.random.Generator) -> Scene:
    """Draw the stamps of one alert.

    Parameters
    ----------
    class_name
        One of `CLASSES`.
    exposure
        The exposure and its template.
    rng
        Where all randomness comes from.

    Returns
    -------
    Scene
        Drawn again until the difference image shows something at 5 sigma, for a survey sends no other alert.

    Raises
    ------
    KeyError
        If there is no such class.
    """
    paint = _PAINTERS[class_name]
    while True:
        scene = _attempt(class_name, paint, exposure, rng)
        if abs(scene.photometry.snr) >= MIN_SNR:
            return scene


def _attempt(class_name: str, paint: _Painter, exposure: Exposure, rng: np.random.Generator) -> Scene:
    event = _draw_event(class_name, exposure, rng)
    footprint = _footprint_pixels(event, exposure)
    side = int(np.clip(footprint, *exposure.stamp_pixels))
    # The survey cuts whole pixels around the source: it stands within half a pixel of the middle.
    x0, y0 = (side - 1) / 2 + rng.uniform(-0.5, 0.5, 2)
    y, x = np.mgrid[:side, :side].astype(float)
    canvas = _Canvas(
        exposure=exposure,
        x=x - x0,
        y=y - y0,
        science=np.zeros((side, side)),
        template=np.zeros((side, side)),
        references=[],
        shape=Shape.round(exposure.psf_sigma_arcsec),
        kind=class_name,
    )
    paint(canvas, event, rng)
    _add_neighbours(canvas, rng)

    science, science_variance = _observe(canvas.science, exposure, 1, rng)
    template, template_variance = _observe(canvas.template, exposure, exposure.template_exposures, rng)
    difference = science - template
    psf = canvas.point(1.0)
    return Scene(
        class_name=class_name,
        kind=canvas.kind,
        exposure=exposure,
        x_pixels=float(x0),
        y_pixels=float(y0),
        science=science,
        template=template,
        difference=difference,
        science_variance=science_variance,
        template_variance=template_variance,
        photometry=fit_psf(difference, science_variance + template_variance, psf),
        science_photometry=fit_psf(science - np.float32(exposure.pedestal), science_variance, psf),
        template_photometry=fit_psf(template - np.float32(exposure.pedestal), template_variance, psf),
        shape=canvas.shape,
        trail_arcsec=canvas.trail_arcsec,
        trail_angle_rad=canvas.trail_angle_rad,
        dipole=canvas.dipole,
        footprint_pixels=footprint,
        references=tuple(sorted(canvas.references, key=lambda source: source.distance_arcsec)),
    )


def _observe(expected: Image, exposure: Exposure, exposures: int, rng: np.random.Generator) -> tuple[Stamp, Stamp]:
    """Add the pedestal, noise and saturation to an expected image; returns the stamp and its variance."""
    variance = (np.maximum(expected, 0.0) / exposure.electrons_per_unit + exposure.sky_variance) / exposures
    noise = rng.standard_normal(expected.shape)
    if exposures > 1:
        noise = _correlated(noise)
    observed = expected + noise * np.sqrt(variance)
    observed = np.where(expected > exposure.saturation, exposure.saturated_value, observed) + exposure.pedestal
    return observed.astype(np.float32), variance.astype(np.float32)


def _correlated(noise: Image) -> Image:
    """White noise as it is after the resampling of the exposures that a template is made of."""
    rows, columns = noise.shape
    wrapped = np.pad(noise, 1, mode="wrap")
    shifted = (wrapped[i : i + rows, j : j + columns] * _TEMPLATE_KERNEL[i, j] for i in range(3) for j in range(3))
    return np.asarray(sum(shifted))


def _draw_event(class_name: str, exposure: Exposure, rng: np.random.Generator) -> _Event:
    slope = _COUNTS_SLOPE[class_name]
    # Number counts N(<m) ~ 10^(slope m), cut 6 magnitudes above the limit, where things start to saturate.
    above_limit_mag = min(-math.log10(rng.uniform(1e-12, 1.0)) / slope, 6.0)
    flux = exposure.five_sigma_flux * 10.0 ** (0.4 * above_limit_mag)
    if class_name != "asteroid":
        return _Event(flux, 0.0, 0.0)
    # Main-belt rates of about 35 arcsec/h leave no trail in 30 s; one in five is a fast, near one.
    typical_rate = 35.0 if rng.random() < 0.8 else 300.0
    rate_arcsec_per_hour = typical_rate * rng.lognormal(0.0, 0.5)
    trail = min(rate_arcsec_per_hour * exposure.duration_s / 3600.0, 8.0)
    return _Event(flux, trail, rng.uniform(-math.pi, math.pi))


def _footprint_pixels(event: _Event, exposure: Exposure) -> int:
    """Side of the box around all pixels above the detection threshold; rule of thumb from LSSTCam alerts."""
    above_limit = math.log10(event.flux / exposure.five_sigma_flux)
    width = exposure.fwhm_pixels * (4.0 + 3.0 * above_limit)
    return math.ceil(width + event.trail_arcsec / exposure.pixel_scale_arcsec)


def _add_neighbours(canvas: _Canvas, rng: np.random.Generator) -> None:
    """Stars and small galaxies around the alert, the same in both epochs, wherever chance puts them."""
    exposure = canvas.exposure
    radius = exposure.neighbour_radius_arcsec
    density = exposure.stars_per_arcsec2 + exposure.galaxies_per_arcsec2
    reach_pixels = 0.5 * math.sqrt(2.0) * canvas.x.shape[0] + 2.0 * exposure.fwhm_pixels
    faintest = exposure.magnitude(exposure.five_sigma_flux) + 2.0
    for _ in range(rng.poisson(density * math.pi * radius**2)):
        distance = radius * math.sqrt(rng.random()) / exposure.pixel_scale_arcsec
        angle = rng.uniform(0.0, 2.0 * math.pi)
        dx, dy = distance * math.cos(angle), distance * math.sin(angle)
        flux = exposure.flux(max(faintest + math.log10(rng.uniform(1e-12, 1.0)) / 0.3, faintest - 8.0))
        is_star = rng.random() * density < exposure.stars_per_arcsec2
        # Unresolved galaxies: drawn as slightly wide points, which is all that can be told at this distance.
        canvas.refer(flux, dx, dy, float(is_star), 0.0 if is_star else 0.5)
        if distance < reach_pixels:
            canvas.add_constant(canvas.point(flux, dx, dy, 1.0 if is_star else 1.3))


def _add_galaxy(canvas: _Canvas, flux: float, dx: float, dy: float, rng: np.random.Generator) -> float:
    """Put a Sersic galaxy into both epochs and return its extension, 0 to 1."""
    exposure = canvas.exposure
    radius_arcsec = half_light_radius_arcsec(exposure.magnitude(flux)) * rng.lognormal(0.0, 0.25)
    image = sersic_image(
        canvas.x - dx,
        canvas.y - dy,
        half_light_radius=radius_arcsec / exposure.pixel_scale_arcsec,
        index=float(rng.choice((1.0, 1.5, 2.5, 4.0))),
        axis_ratio=rng.uniform(0.35, 1.0),
        angle_rad=rng.uniform(0.0, math.pi),
        fwhm=exposure.fwhm_pixels,
        moffat_beta=exposure.moffat_beta,
    )
    canvas.add_constant(flux * image)
    return float(radius_arcsec**2 / (radius_arcsec**2 + exposure.psf_sigma_arcsec**2))


def half_light_radius_arcsec(magnitude: float) -> float:
    """Typical half-light radius of a galaxy, arcsec: 1.5 at 20.5 mag, larger where brighter (rule of thumb)."""
    return float(1.5 * 10.0 ** (0.12 * (20.5 - magnitude)))


def _paint_agn(canvas: _Canvas, event: _Event, rng: np.random.Generator) -> None:
    relative_change = min(rng.lognormal(-1.0, 0.6), 0.95)
    sign = rng.choice((-1.0, 1.0))
    nucleus = event.flux / relative_change
    # Three in four outshine their host, as quasars and blazars do; the others are Seyfert galaxies.
    host = nucleus * (rng.lognormal(-3.0, 0.8) if rng.random() < 0.75 else rng.lognormal(-0.3, 0.7))
    extension = _add_galaxy(canvas, host, 0.0, 0.0, rng)
    canvas.template += canvas.point(nucleus)
    canvas.science += canvas.point(nucleus + sign * event.flux)
    point_fraction = nucleus / (nucleus + host)
    canvas.refer(nucleus + host, 0.0, 0.0, point_fraction, extension * (1.0 - point_fraction))


def _paint_supernova(canvas: _Canvas, event: _Event, rng: np.random.Generator) -> None:
    host = event.flux * 10.0 ** (0.4 * rng.normal(0.3, 1.2))
    # Supernovae follow the light: offsets in half-light radii as an exponential disc has them.
    offset_arcsec = half_light_radius_arcsec(canvas.exposure.magnitude(host)) * rng.gamma(2.0, 0.5)
    offset = offset_arcsec / canvas.exposure.pixel_scale_arcsec
    angle = rng.uniform(0.0, 2.0 * math.pi)
    dx, dy = offset * math.cos(angle), offset * math.sin(angle)
    extension = _add_galaxy(canvas, host, dx, dy, rng)
    canvas.science += canvas.point(event.flux)
    canvas.refer(host, dx, dy, 0.0, extension)


def _paint_variable_star(canvas: _Canvas, event: _Event, rng: np.random.Generator) -> None:
    if rng.random() < 0.15:  # the outburst of a cataclysmic variable: several times as bright as before
        relative_change, sign = rng.lognormal(1.2, 0.8), 1.0
    else:
        relative_change, sign = min(rng.lognormal(-1.1, 0.7), 0.95), rng.choice((-1.0, 1.0))
    star = event.flux / relative_change
    canvas.template += canvas.point(star)
    canvas.science += canvas.point(star + sign * event.flux)
    canvas.refer(star, 0.0, 0.0, 1.0, 0.0)


def _paint_asteroid(canvas: _Canvas, event: _Event, rng: np.random.Generator) -> None:
    exposure = canvas.exposure
    canvas.trail_arcsec, canvas.trail_angle_rad = event.trail_arcsec, event.trail_angle_rad
    canvas.science += event.flux * trail_image(
        canvas.x,
        canvas.y,
        length=event.trail_arcsec / exposure.pixel_scale_arcsec,
        angle_rad=event.trail_angle_rad,
        fwhm=exposure.fwhm_pixels,
        moffat_beta=exposure.moffat_beta,
    )
    # The variance of a uniform line of length L is L^2 / 12.
    canvas.shape = canvas.shape.stretched(event.trail_arcsec**2 / 12.0, event.trail_angle_rad)


def _paint_bogus(canvas: _Canvas, event: _Event, rng: np.random.Generator) -> None:
    canvas.kind = str(rng.choice(BOGUS_KINDS, p=_BOGUS_SHARES))
    _BOGUS_PAINTERS[canvas.kind](canvas, event, rng)


def _paint_cosmic_ray(canvas: _Canvas, event: _Event, rng: np.random.Generator) -> None:
    """A track of a few pixels with sharp edges: it did not come through the optics."""
    length = rng.uniform(1.0, 8.0)
    angle = rng.uniform(0.0, math.pi)
    along = np.linspace(-0.5, 0.5, 24) * length
    middle = (canvas.x.shape[0] - 1) / 2
    columns = np.rint(middle + along * math.cos(angle)).astype(int)
    rows = np.rint(middle + along * math.sin(angle)).astype(int)
    np.add.at(canvas.science, (rows, columns), 2.0 * event.flux / along.size)
    scale = canvas.exposure.pixel_scale_arcsec
    canvas.shape = Shape.round(0.4 * scale).stretched((length * scale) ** 2 / 12.0, angle)


def _paint_bad_pixel(canvas: _Canvas, event: _Event, rng: np.random.Generator) -> None:
    """One hot pixel, in the science image or in the template."""
    image = canvas.science if rng.random() < 0.6 else canvas.template
    row, column = np.rint(np.array(image.shape) / 2 - 0.5 + rng.uniform(-0.4, 0.4, 2)).astype(int)
    image[row, column] += 2.0 * event.flux
    canvas.shape = Shape.round(0.35 * canvas.exposure.pixel_scale_arcsec)


def _paint_dipole(canvas: _Canvas, event: _Event, rng: np.random.Generator) -> None:
    """A constant star that the registration put at two places; the alert stands on one of the lobes."""
    exposure = canvas.exposure
    shift = rng.uniform(0.1, 0.5)
    angle = rng.uniform(-math.pi, math.pi)
    lobe = gaussian_sigma(exposure.fwhm_pixels) * rng.choice((-1.0, 1.0))
    # A shift s leaves lobes of about s / sigma of the flux: this star makes lobes as bright as the event.
    star = min(event.flux * exposure.fwhm_pixels / shift, 0.9 * exposure.saturation * exposure.fwhm_pixels**2)
    direction = np.array([math.cos(angle), math.sin(angle)])
    new, old = (lobe + 0.5 * shift) * direction, (lobe - 0.5 * shift) * direction
    canvas.science += canvas.point(star, *new)
    canvas.template += canvas.point(star, *old)
    canvas.refer(star, float(old[0]), float(old[1]), 1.0, 0.0)
    canvas.dipole = Dipole(star, shift * exposure.pixel_scale_arcsec, angle)
    canvas.shape = Shape.round(0.8 * exposure.psf_sigma_arcsec).stretched(exposure.psf_sigma_arcsec**2, angle)


def _paint_saturated_star(canvas: _Canvas, event: _Event, rng: np.random.Generator) -> None:
    """The residual at the rim of a star whose core is lost, and whose wings the subtraction could not match."""
    exposure = canvas.exposure
    peak_share = 0.88 / exposure.fwhm_pixels**2
    star = exposure.saturation / peak_share * rng.uniform(1.5, 10.0)
    distance = exposure.fwhm_pixels * rng.uniform(0.9, 1.6)
    angle = rng.uniform(-math.pi, math.pi)
    dx, dy = distance * math.cos(angle), distance * math.sin(angle)
    canvas.template += canvas.point(star, dx, dy)
    canvas.science += canvas.point(star, dx, dy, widening=1.0 + rng.choice((-1.0, 1.0)) * rng.uniform(0.01, 0.05))
    canvas.refer(star, dx, dy, 1.0, 0.0)
    canvas.shape = Shape.round(1.4 * exposure.psf_sigma_arcsec)


def _paint_residual(canvas: _Canvas, event: _Event, rng: np.random.Generator) -> None:
    """What a slightly wrong point-spread function leaves of a star: a core of one sign in a ring of the other."""
    exposure = canvas.exposure
    mismatch = rng.uniform(0.03, 0.1)
    star = min(event.flux / mismatch, 0.9 * exposure.saturation * exposure.fwhm_pixels**2)
    widening = 1.0 + rng.choice((-1.0, 1.0)) * mismatch
    dx, dy = rng.normal(0.0, 0.15 * exposure.fwhm_pixels, 2)
    canvas.template += canvas.point(star, dx, dy)
    canvas.science += canvas.point(star, dx, dy, widening=widening)
    canvas.refer(star, float(dx), float(dy), 1.0, 0.0)


_Painter = Callable[[_Canvas, _Event, np.random.Generator], None]

_PAINTERS: dict[str, _Painter] = {
    "AGN": _paint_agn,
    "SN": _paint_supernova,
    "VS": _paint_variable_star,
    "asteroid": _paint_asteroid,
    "bogus": _paint_bogus,
}

_BOGUS_PAINTERS: dict[str, _Painter] = {
    "cosmic_ray": _paint_cosmic_ray,
    "bad_pixel": _paint_bad_pixel,
    "dipole": _paint_dipole,
    "saturated_star": _paint_saturated_star,
    "residual": _paint_residual,
}

_COUNTS_SLOPE = {"AGN": 0.2, "SN": 0.17, "VS": 0.1, "asteroid": 0.25, "bogus": 0.15}
"""Steepness of log10 N against the magnitude of the difference; 0.6 would be a uniform Euclidean space.

Less steep than the sky is: those that get a label, by a spectrum above all, are the bright ones."""
