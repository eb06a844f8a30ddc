"""FITS cutouts: the same bits as astropy's, and a clear word on every broken one."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import math
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from broker_plugin.alert import STAMP_NAMES, Alert, AlertError, Identity, Reason
from broker_plugin.packets import PacketFiles, PacketReader, decode_planes, read_stamp
from broker_plugin.packets.cutouts import decode_fits
from broker_plugin.packets.limits import MAX_CUTOUT_BYTES, MAX_CUTOUT_CARDS, MAX_CUTOUT_PIXELS

from . import samples

PIXELS = np.random.default_rng(3).normal(size=(7, 5)).astype(np.float32)


def astropy_pixels(raw: bytes, extension: int | str = 0) -> np.ndarray:
    data = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(io.BytesIO(data), ignore_missing_simple=True) as hdus:
            return np.array(hdus[extension].data)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    kind = {4: np.uint32, 8: np.uint64}[a.dtype.itemsize]
    b = b.astype(a.dtype)
    return a.shape == b.shape and np.array_equal(np.ascontiguousarray(a).view(kind), np.ascontiguousarray(b).view(kind))


def refusal(raw: bytes) -> AlertError:
    with pytest.raises(AlertError) as caught:
        decode_fits(raw)
    return caught.value


def alert_of(survey: str, raw: bytes | None, **values) -> Alert:
    return Alert(Identity(survey=survey), values, dict.fromkeys(STAMP_NAMES, raw))


def test_synthetic_stamps_have_the_bits_of_astropy():
    reader = PacketReader()
    for packet in (*samples.payloads("ztf"), *samples.payloads("rubin")):
        for raw in reader.read(packet).cutouts.values():
            assert same_bits(decode_fits(raw).pixels, astropy_pixels(raw))


def test_real_ztf_stamps_have_the_bits_of_astropy(shared_alerts):
    reader = PacketReader(fields=(), history=False)
    paths = [shared_alerts / "ztf" / "packets", shared_alerts / "ztf" / "test.avro"]
    compared = 0
    for alert in PacketFiles(paths, reader):
        for raw in alert.cutouts.values():
            assert same_bits(decode_fits(raw).pixels, astropy_pixels(raw))
            compared += 1
    assert compared > 1000


def test_real_rubin_planes_have_the_bits_of_astropy(shared_alerts):
    reader = PacketReader(fields=(), history=False)
    compared = 0
    for alert in PacketFiles([shared_alerts / "rubin"], reader):
        for raw in filter(None, alert.cutouts.values()):
            planes = decode_planes(raw)
            with fits.open(io.BytesIO(raw)) as hdus:
                names = [hdu.name for hdu in hdus]
                assert same_bits(planes.pixels, np.array(hdus[0].data))
                for name, plane in (("UNCERT", planes.variance), ("PSFIMAGE", planes.psf)):
                    assert (plane is None) == (name not in names)
                    if plane is not None:
                        assert same_bits(plane, np.array(hdus[name].data))
                        compared += 1
    assert compared > 500


def north_by_astropy(header: fits.Header) -> float:
    wcs = WCS(header)
    x, y = header["CRPIX1"] - 1, header["CRPIX2"] - 1
    ra, dec = (float(value) for value in wcs.wcs_pix2world(x, y, 0))
    north_x, north_y = (float(value) for value in wcs.wcs_world2pix(ra, dec + 1e-5, 0))
    return math.degrees(math.atan2(-(north_x - x), north_y - y))


def angle_between(a: float, b: float) -> float:
    return abs((a - b + 180.0) % 360.0 - 180.0)


def test_north_is_where_astropy_has_it():
    for packet in samples.payloads("rubin"):
        raw = PacketReader().read(packet).cutouts["science"]
        with fits.open(io.BytesIO(raw)) as hdus:
            assert angle_between(decode_planes(raw).north_deg, north_by_astropy(hdus[0].header)) < 0.01


def test_north_of_real_stamps_is_where_astropy_has_it(shared_alerts):
    compared = 0
    for alert in PacketFiles([shared_alerts / "rubin" / "packets"], PacketReader(fields=(), history=False)):
        raw = alert.cutouts["science"]
        north = None if raw is None else decode_planes(raw).north_deg
        if north is not None:
            with fits.open(io.BytesIO(raw)) as hdus, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert angle_between(north, north_by_astropy(hdus[0].header)) < 0.01
            compared += 1
    assert compared > 10


@pytest.mark.parametrize("form", ["PC", "PC and CDELT", "CD"])
@pytest.mark.parametrize("angle_deg", [0.0, 33.0, 120.0, -95.0])
def test_north_is_read_of_every_form_of_the_matrix(form, angle_deg):
    c, s, scale = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg)), 0.2 / 3600
    matrix = np.array([[-c, s], [s, c]])
    cards: dict = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 3.0, "CRPIX2": 4.0, "CRVAL1": 10.0}
    cards["CRVAL2"] = 20.0
    if form == "PC and CDELT":
        cards |= {"CDELT1": scale, "CDELT2": scale}
    else:
        matrix = matrix * scale
    prefix = "CD" if form == "CD" else "PC"
    cards |= {f"{prefix}{i + 1}_{j + 1}": matrix[i, j] for i in (0, 1) for j in (0, 1)}
    raw = samples.fits_file(PIXELS, **cards)
    with fits.open(io.BytesIO(raw)) as hdus:
        expected = north_by_astropy(hdus[0].header)
    assert angle_between(decode_planes(raw).north_deg, expected) < 0.01


def test_stamp_without_a_wcs_has_no_north_and_no_planes():
    planes = decode_planes(samples.fits_file(PIXELS))
    assert planes.north_deg is None and planes.variance is None and planes.psf is None


@pytest.mark.parametrize("kind", ["u1", ">i2", ">i4", ">i8", ">f8", "u2", "u4"])
def test_every_type_of_pixel_has_the_values_of_astropy(kind):
    data = np.arange(35).reshape(7, 5).astype(kind)
    raw = samples.fits_file(data)
    assert same_bits(decode_fits(raw).pixels, astropy_pixels(raw).astype(np.float32))


@pytest.mark.parametrize("kind", [">i2", ">f4"])
def test_scaled_pixels_have_the_values_of_astropy(kind):
    raw = bytearray(samples.fits_file(np.arange(35).reshape(7, 5).astype(kind), XSCALE=0.5, XZERO=100.0))
    for old, new in ((b"XSCALE", b"BSCALE"), (b"XZERO ", b"BZERO ")):
        at = raw.index(old)
        raw[at : at + 6] = new
    got = decode_fits(bytes(raw)).pixels
    np.testing.assert_array_equal(got, np.arange(35).reshape(7, 5) * 0.5 + 100.0)


def test_image_in_the_first_extension_is_found():
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(PIXELS)]).writeto(stream)
    assert same_bits(decode_fits(stream.getvalue()).pixels, PIXELS)


def test_cards_in_free_format_are_read():
    raw = samples.fits_file(PIXELS)
    cards = {b"SIMPLE": b"T", b"BITPIX": b"-32 / bits", b"NAXIS1": b"5/ columns"}
    for key, value in cards.items():
        at = raw.index(key + b" " * (8 - len(key)) + b"=")
        raw = raw[:at] + (key.ljust(8) + b"=  " + value).ljust(80) + raw[at + 80 :]
    assert same_bits(decode_fits(raw).pixels, PIXELS)


def test_every_bit_of_nan_and_infinity_is_kept():
    odd = np.array([[0x7FC00000, 0xFFC00001], [0x7F800000, 0xFF800000]], dtype=np.uint32).view(np.float32)
    assert same_bits(decode_fits(samples.fits_file(odd)).pixels, odd)


def test_gzip_bomb_is_too_large_at_once():
    bomb = gzip.compress(bytes(50 * MAX_CUTOUT_BYTES), 9)
    started = time.monotonic()
    assert refusal(bomb).reason is Reason.TOO_LARGE
    assert time.monotonic() - started < 2.0


def claim(columns: int, rows: int, bitpix: int = -32, extra: str = "") -> bytes:
    cards = ["SIMPLE  =                    T", f"BITPIX  = {bitpix:>20}", "NAXIS   =                    2"]
    cards += [f"NAXIS1  = {columns:>20}", f"NAXIS2  = {rows:>20}", extra, "END"]
    return "".join(card.ljust(80) for card in cards).encode().ljust(2880) + bytes(2880)


@pytest.mark.parametrize("extra", ["", "BSCALE  =                  2.0"], ids=["plain", "by astropy"])
@pytest.mark.parametrize("size", [(10**6, 10**6), (MAX_CUTOUT_PIXELS + 1, 1), (2**62, 2), (0, 5), (-5, 5)])
def test_header_that_claims_an_impossible_size_is_refused_at_once(size, extra):
    started = time.monotonic()
    assert refusal(claim(*size, extra=extra)).reason in (Reason.TOO_LARGE, Reason.CORRUPT_CUTOUT)
    assert time.monotonic() - started < 2.0


def test_fewer_bytes_than_pixels_is_corrupt():
    assert refusal(claim(100, 100)).reason is Reason.CORRUPT_CUTOUT


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzipped"])
def test_cut_off_at_any_byte_is_corrupt(compress):
    raw = samples.gzipped_fits(PIXELS) if compress else samples.fits_file(PIXELS)[: 2880 + PIXELS.nbytes]
    for end in range(len(raw)):
        assert refusal(raw[:end]).reason is Reason.CORRUPT_CUTOUT


def test_jpeg_is_an_unsupported_cutout():
    assert refusal(b"\xff\xd8\xff\xe0" + bytes(100)).reason is Reason.UNSUPPORTED_CUTOUT


def test_jpeg_of_the_first_weeks_is_an_unsupported_cutout(shared_alerts):
    for alert in PacketFiles(sorted((shared_alerts / "odd").glob("ztf-jpeg*")), PacketReader()):
        with pytest.raises(AlertError) as caught:
            read_stamp(alert, "science")
        assert caught.value.reason is Reason.UNSUPPORTED_CUTOUT


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SIMPLE",
        b"S" * 5760,
        b"SIMPLE  =" + b" " * 100_000,
        samples.fits_file(None),
        samples.fits_file(np.zeros((2, 3, 4), np.float32)),
        samples.fits_file(np.zeros(4, np.float32)),
    ],
    ids=["empty", "stub", "text", "no end", "no image", "three dimensions", "one dimension"],
)
def test_what_is_no_image_is_corrupt(raw):
    assert refusal(raw).reason is Reason.CORRUPT_CUTOUT


def test_compressed_tiles_are_not_decompressed():
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(PIXELS)]).writeto(stream)
    assert refusal(stream.getvalue()).reason is Reason.CORRUPT_CUTOUT


def test_file_of_thousands_of_units_is_given_up_soon():
    unit = b"".join(c.ljust(80) for c in (b"XTENSION= 'IMAGE   '", b"BITPIX  = 8", b"NAXIS   = 0", b"END")).ljust(2880)
    raw = samples.fits_file(None) + unit * 350
    started = time.monotonic()
    assert refusal(raw).reason is Reason.CORRUPT_CUTOUT
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize(
    ("crpix", "centre"),
    [((3.0, 4.0), (3, 2)), ((3.4, 4.4), (3, 2)), ((1.0, 1.0), (0, 0)), ((5.4, 7.4), (6, 4))],
)
def test_source_of_a_rubin_stamp_is_at_the_reference_pixel(crpix, centre):
    raw = samples.fits_file(PIXELS, CRPIX1=crpix[0], CRPIX2=crpix[1])
    assert read_stamp(alert_of("rubin", raw), "science").centre == centre


@pytest.mark.parametrize("crpix", [(0.0, 3.0), (100.0, 3.0), (-1e300, 1.0), ("here", "there"), (True, True)])
def test_reference_pixel_off_the_stamp_is_passed_over(crpix):
    raw = samples.fits_file(PIXELS, CRPIX1=crpix[0], CRPIX2=crpix[1])
    assert read_stamp(alert_of("rubin", raw), "science").centre == (3, 2)


def test_reference_pixel_may_be_written_with_a_fortran_exponent():
    raw = samples.fits_file(PIXELS, CRPIX1=2.0, CRPIX2=2.0)
    raw = raw.replace(b"CRPIX1  =                  2.0", b"CRPIX1  =                2.0D0")
    assert decode_fits(raw).centre == (1, 1)


def test_centre_is_the_same_by_either_road():
    plain = samples.fits_file(PIXELS, CRPIX1=2.5, CRPIX2=5.5)
    by_astropy = samples.fits_file(PIXELS.astype(">f8"), CRPIX1=2.5, CRPIX2=5.5)
    assert decode_fits(plain).centre == decode_fits(by_astropy).centre


def test_missing_cutout_is_named():
    with pytest.raises(AlertError) as caught:
        read_stamp(alert_of("ztf", None), "template")
    assert (caught.value.reason, caught.value.detail) == (Reason.MISSING_CUTOUT, "cutoutTemplate is missing")


def test_corrupt_cutout_is_named():
    with pytest.raises(AlertError) as caught:
        read_stamp(alert_of("rubin", b"x" * 100), "difference")
    assert caught.value.detail.startswith("cutoutDifference: ")


def test_planes_of_a_cut_off_file_are_corrupt():
    raw = PacketReader().read(samples.payloads("rubin")[0]).cutouts["science"]
    for end in range(0, len(raw) - 2880, 311):
        try:
            decode_planes(raw[:end])
        except AlertError as problem:
            assert problem.reason is Reason.CORRUPT_CUTOUT  # noqa: PT017


def unit(name: str, *cards: str, filler: int = 0) -> bytes:
    """A header, with as many cards that say nothing."""
    cards = (f"{name:<80}", *cards, *(f"K{i:<7}= {i:>20}" for i in range(filler)), "END")
    header = "".join(card.ljust(80) for card in cards).encode()
    return header.ljust(-(-len(header) // 2880) * 2880)


PRIMARY = "SIMPLE  =                    T"
EXTENSION = "XTENSION= 'IMAGE   '"
NO_DATA = ("BITPIX  =                    8", "NAXIS   =                    0")
PIXEL = ("BITPIX  =                    8", "NAXIS   = 2", "NAXIS1  = 1", "NAXIS2  = 1", "PCOUNT  = 0", "GCOUNT  = 1")
EMPTY = unit(PRIMARY, *NO_DATA)


def seconds_for(raw: bytes) -> float:
    """The least time of several for all that is done with a cutout."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        for decode in (decode_fits, decode_planes):
            with contextlib.suppress(AlertError):
                decode(raw)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


@pytest.mark.parametrize(
    "raw",
    [
        unit(PRIMARY, *PIXEL, filler=12_000) + bytes(2880),
        EMPTY + unit(EXTENSION, *PIXEL, filler=12_000) + bytes(2880),
        EMPTY + unit(EXTENSION, *PIXEL, filler=100_000) + bytes(2880),
        EMPTY + unit(EXTENSION, *NO_DATA, filler=MAX_CUTOUT_CARDS - 5) * 20,
        EMPTY + (unit(EXTENSION, *PIXEL, filler=MAX_CUTOUT_CARDS - 9) + bytes(2880)) * 20,
        unit(PRIMARY, "BITPIX  = 8", "NAXIS   = 1", f"NAXIS1  = {2**62}") + unit(EXTENSION, *PIXEL, filler=12_000),
        unit(PRIMARY, "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = -9") + unit(EXTENSION, *PIXEL, filler=12_000),
        EMPTY + unit("NOTHING =", *PIXEL, filler=12_000) + bytes(2880),
    ],
    ids=["primary", "extension", "larger", "many", "many images", "endless data", "negative", "no extension"],
)
def test_headers_without_end_cost_little(raw):
    seconds_for(EMPTY)  # astropy is imported
    assert seconds_for(gzip.compress(raw)) < 0.1


def test_header_of_too_many_cards_is_corrupt_in_every_unit():
    long = unit(EXTENSION, *PIXEL, filler=MAX_CUTOUT_CARDS)
    assert refusal(EMPTY + long + bytes(2880)).reason is Reason.CORRUPT_CUTOUT
    assert refusal(unit(PRIMARY, *PIXEL, filler=MAX_CUTOUT_CARDS)).reason is Reason.CORRUPT_CUTOUT


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_cutout_beyond_the_bound_is_too_large(compress):
    assert refusal(compress(samples.fits_file(PIXELS) + bytes(MAX_CUTOUT_BYTES))).reason is Reason.TOO_LARGE


def test_all_units_of_a_file_are_shown_to_astropy():
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((3, 4)), name="OTHER"), fits.BinTableHDU(name="TABLE")]
    hdus += [fits.ImageHDU(PIXELS.astype(">f8"), name=name) for name in ("UNCERT", "PSFIMAGE")]
    hdus[0] = fits.PrimaryHDU(PIXELS.astype(">i8"))
    stream = io.BytesIO()
    fits.HDUList(hdus).writeto(stream)
    planes = decode_planes(stream.getvalue() + bytes(5760))
    assert same_bits(planes.variance, PIXELS.astype("f8")) and same_bits(planes.psf, PIXELS.astype("f8"))


def test_threads_leave_the_filters_of_warnings_as_they_were(monkeypatch):
    raw = samples.fits_file(PIXELS.astype(">f8"))
    really_open = fits.open

    def slowly_open(*args, **kwargs):
        time.sleep(0.0003 * (next(turns) % 4))  # so that threads leave in another order than they came
        return really_open(*args, **kwargs)

    turns = itertools.count()
    monkeypatch.setattr(fits, "open", slowly_open)
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(decode_fits, [raw] * 200))
    assert warnings.filters == before
    assert all(same_bits(image.pixels, PIXELS) for image in images)
