"""Batches: a row of tensors for each alert, whatever stands beside it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_plugin.alert import STAMP_NAMES, Alert, Detection, Identity, Reason
from broker_plugin.bundles import FeatureSpec, StampSpec
from broker_plugin.packets import PacketReader
from broker_plugin.simulation import simulate_packets
from broker_plugin.tensors import make_batch
from broker_plugin.training.presets import PRESETS
from broker_plugin.training.recipes import RECIPES

from . import samples

FEATURES = (
    FeatureSpec("plain", "a", mean=3.0, std=2.0),
    FeatureSpec("log", "a", "log10", clip=(1e-3, None), fill=1.0),
    FeatureSpec("asinh", "b", "asinh", 10.0),
    FeatureSpec("bool", "b", true_value=2.0, false_value=-1.0),
    FeatureSpec("latitude", "galactic_latitude_deg"),
    FeatureSpec("ratio", "difference_over_template"),
)


def good(seed: int) -> Alert:
    rng = np.random.default_rng(seed)
    values = dict(zip(("a", "b", "ra", "dec", "psfFlux", "templateFlux"), rng.normal(size=6).tolist(), strict=True))
    return samples.alert(rng.normal(size=(30, 30)).astype(np.float32), **values)


def changed(alert: Alert, **values) -> Alert:
    return Alert(alert.identity, {**alert.values, **values}, alert.cutouts)


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class Hostile(dict):
    def get(self, *_):
        raise HostileError


class HostileText(str):
    def __repr__(self) -> str:
        raise HostileError

    __getitem__ = __repr__


class HostileNumber(float):
    def __float__(self) -> float:
        raise HostileError

    __array__ = __float__


ROWS_CUT_OFF = np.random.default_rng(0).normal(size=(50, 63)).astype(np.float32)
BAD = {
    "infinite field": (changed(good(1), a=math.inf), Reason.INVALID_FIELD),
    "text field": (changed(good(1), b="1.0"), Reason.INVALID_FIELD),
    "blank": (samples.alert(np.zeros((30, 30), np.float32)), Reason.BLANK_CUTOUT),
    "no cutouts": (Alert(Identity(survey="rubin")), Reason.NO_CUTOUTS),
    "corrupt": (Alert(Identity(survey="rubin"), {}, dict.fromkeys(STAMP_NAMES, b"x" * 99)), Reason.CORRUPT_CUTOUT),
    "both": (changed(samples.alert(np.zeros((30, 30), np.float32)), a=math.inf), Reason.BLANK_CUTOUT),
    "number beyond a double": (
        Alert(Identity(survey="ztf"), {"ypos": 10**400}, dict.fromkeys(STAMP_NAMES, samples.fits_file(ROWS_CUT_OFF))),
        Reason.CORRUPT_CUTOUT,
    ),
    "no mapping of fields": (Alert(Identity(survey="rubin"), [1.0], good(1).cutouts), Reason.INVALID_FIELD),
    "fields that raise": (Alert(Identity(survey="rubin"), Hostile(), good(1).cutouts), Reason.INVALID_FIELD),
    "field that can't be shown": (changed(good(1), a=HostileText("1")), Reason.INVALID_FIELD),
    "number that raises": (changed(good(1), a=HostileNumber(1.0), b=math.inf), Reason.INVALID_FIELD),
    "count that raises": (changed(good(1), b=HostileNumber(1.0)), Reason.INVALID_FIELD),
    "no mapping of cutouts": (Alert(Identity(survey="rubin"), good(1).values, [b""]), Reason.CORRUPT_CUTOUT),
    "cutouts that raise": (Alert(Identity(survey="rubin"), good(1).values, Hostile()), Reason.CORRUPT_CUTOUT),
    "cutout that is a number": (
        Alert(Identity(survey="rubin"), good(1).values, dict.fromkeys(STAMP_NAMES, 7)),
        Reason.CORRUPT_CUTOUT,
    ),
    "off the edge": (
        Alert(Identity(survey="ztf"), {"xpos": math.inf}, good(1).cutouts),
        Reason.CORRUPT_CUTOUT,
    ),
}


def test_bad_alerts_of_every_kind_in_one_batch_are_each_told():
    alerts = [alert for alert, _ in BAD.values()]
    problems = make_batch(alerts, samples.manifest(FEATURES)).problems
    assert [problems[row].reason for row in range(len(alerts))] == [reason for _, reason in BAD.values()]


@pytest.mark.parametrize("name", BAD)
def test_bad_alert_is_told_and_leaves_its_neighbours_bit_for_bit(name):
    manifest = samples.manifest(FEATURES)
    bad, reason = BAD[name]
    neighbours = [good(i) for i in range(6)]
    alone = make_batch(neighbours, manifest)
    mixed = make_batch([*neighbours[:3], bad, *neighbours[3:]], manifest)
    assert {row: problem.reason for row, problem in mixed.problems.items()} == {3: reason}
    rows = [0, 1, 2, 4, 5, 6]
    assert mixed.stamps[rows].tobytes() == alone.stamps.tobytes()
    assert mixed.features[rows].tobytes() == alone.features.tobytes()
    assert not mixed.stamps[3].any() and not mixed.features[3].any()


def test_row_does_not_depend_on_the_batch():
    manifest = samples.manifest(FEATURES)
    alerts = [good(i) for i in range(8)]
    together = make_batch(alerts, manifest)
    for row, alert in enumerate(alerts):
        alone = make_batch([alert], manifest)
        assert alone.stamps[0].tobytes() == together.stamps[row].tobytes()
        assert alone.features[0].tobytes() == together.features[row].tobytes()


def test_no_alerts_have_tensors_of_no_rows():
    batch = make_batch([], samples.manifest(FEATURES))
    assert batch.stamps.shape == (0, 21, 21, 3) and batch.features.shape == (0, len(FEATURES))


@pytest.mark.parametrize("survey", ["ztf", "rubin"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_synthetic_alerts_make_tensors_of_every_recipe(survey, recipe):
    spec = RECIPES[recipe].stamps[survey]
    manifest = samples.manifest(RECIPES[recipe].features_of(PRESETS[survey]), spec, survey)
    alerts = [PacketReader().read(packet.payload) for packet in simulate_packets(survey, 10, seed=2)]
    batch = make_batch(alerts, manifest)
    assert batch.problems == {} and np.isfinite(batch.features).all() and np.isfinite(batch.stamps).all()
    assert batch.stamps.shape == (10, spec.size, spec.size, 3)


ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.lists(st.integers(), max_size=2)
)
PIXEL_VALUES = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(max_examples=150, deadline=None)
@given(
    values=st.dictionaries(st.sampled_from(["a", "b", "ra", "dec", "psfFlux", "templateFlux"]), ANYTHING),
    pixels=st.lists(PIXEL_VALUES, min_size=9, max_size=9),
    shape=st.sampled_from([(3, 3), (1, 9), (9, 1)]),
    steps=st.permutations(("crop", "scale_min_max", "nan_to_zero"))
    | st.permutations(("crop", "scale_noise", "nan_to_zero")),
    size=st.integers(1, 6),
)
def test_every_number_is_finite_whatever_comes_in(values, pixels, shape, steps, size):
    stamps = StampSpec(channels=STAMP_NAMES, size=size, steps=tuple(steps))
    alert = samples.alert(np.array(pixels, np.float32).reshape(shape), **values)
    batch = make_batch([alert, good(1)], samples.manifest(FEATURES, stamps))
    assert np.isfinite(batch.stamps).all() and np.isfinite(batch.features).all()
    assert set(batch.problems) <= {0, 1}
    for problem in batch.problems.values():
        assert problem.reason in (Reason.INVALID_FIELD, Reason.BLANK_CUTOUT)


def test_detections_are_counted_where_a_light_curve_is_looked_at() -> None:
    earlier = tuple(Detection(58000.0 - days, "r", {"magpsf": 19.0, "isdiffpos": True}) for days in (3.0, 1.0))
    alert = replace(good(1), identity=Identity(survey="ztf", mjd=58000.0, band="r"), history=earlier)
    alert = replace(alert, values={**alert.values, "magpsf": 18.5, "isdiffpos": True})
    looking = samples.manifest((FeatureSpec("span", "lc_span_days"),))
    assert make_batch([good(0), alert], looking).detections.tolist() == [1, 3]
    assert make_batch([alert], samples.manifest(FEATURES)).detections.tolist() == [1]
