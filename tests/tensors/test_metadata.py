"""Metadata: clipped, transformed, filled where missing, refused where nonsense."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from broker_plugin.alert import Alert, Identity, Reason
from broker_plugin.bundles import FeatureSpec
from broker_plugin.tensors import DERIVED, NON_DETECTIONS, needed_fields, needs_history
from broker_plugin.tensors.metadata import feature_matrix, missing_features

from . import samples


def value(feature: FeatureSpec, **values) -> float:
    matrix = feature_matrix([samples.valued(**values)], [feature])
    assert matrix.problems == {}
    return float(matrix.values[0, 0])


def problem(feature: FeatureSpec, **values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrix = feature_matrix([samples.valued(a=1.0, b=1.0), samples.valued(**values)], [feature])
    assert list(matrix.problems) == [1] and not matrix.values[1].any()
    assert matrix.problems[1].reason is Reason.INVALID_FIELD
    return matrix.problems[1].detail


def test_plain_feature_is_standardised():
    assert value(FeatureSpec("f", "a", mean=10.0, std=2.0), a=16.0) == 3.0


@pytest.mark.parametrize(("given", "expected"), [(-5.0, 0.0), (0.5, 0.5), (9.0, 1.0), (7, 1.0)])
def test_clip_holds_in_the_unit_of_the_source(given, expected):
    assert value(FeatureSpec("f", "a", clip=(0.0, 1.0)), a=given) == expected


@pytest.mark.parametrize(("clip", "expected"), [((None, 1.0), -5.0), ((0.0, None), 0.0), ((None, None), -5.0)])
def test_side_of_a_clip_may_be_open(clip, expected):
    assert value(FeatureSpec("f", "a", clip=clip), a=-5.0) == expected


def test_logarithm_is_taken_after_the_clip():
    feature = FeatureSpec("f", "a", "log10", clip=(0.01, None), fill=1.0)
    assert value(feature, a=1000.0) == 3.0 and value(feature, a=-7.0) == -2.0


def test_asinh_is_of_the_value_over_its_scale():
    assert value(FeatureSpec("f", "a", "asinh", 300.0), a=-600.0) == pytest.approx(math.asinh(-2.0))


@pytest.mark.parametrize("transform", ["identity", "asinh", "log10"])
def test_fill_takes_the_same_road_as_a_value(transform):
    feature = FeatureSpec("f", "a", transform, clip=(1.0, 20.0), fill=30.0, mean=1.0, std=2.0)
    assert value(feature) == value(feature, a=30.0)


def test_features_of_a_packet_without_any_are_the_filled_ones():
    features = [
        FeatureSpec("f", "a", mean=1.0, std=2.0, fill=5.0),
        FeatureSpec("g", "b", "log10", clip=(1.0, None), fill=10.0),
    ]
    np.testing.assert_array_equal(missing_features(features), [2.0, 1.0])


def test_missing_features_are_named_and_no_others():
    features = [FeatureSpec("one", "a", fill=5.0), FeatureSpec("two", "b"), FeatureSpec("three", "c")]
    alerts = [samples.valued(a=1.0, b=2.0, c=3.0), samples.valued(b=1.0, c=None)]
    matrix = feature_matrix(alerts, features)
    assert matrix.imputed == [(), ("one", "three")]
    assert matrix.values.tolist() == [[1.0, 2.0, 3.0], [5.0, 1.0, 0.0]]


@pytest.mark.parametrize(("given", "expected"), [(29.0, 28.0), (30.0, 29.0), (120.0, 0.0), (-1.0, 0.0), (None, 29.0)])
def test_value_that_the_survey_can_not_have_written_is_average_and_imputed(given, expected):
    feature = FeatureSpec("f", "a", clip=(0.05, 30.0), valid=(0.0, 30.0), fill=30.0, mean=1.0)
    matrix = feature_matrix([samples.valued(a=given)], [feature])
    assert matrix.values[0, 0] == expected
    assert matrix.imputed[0] == (() if given in (29.0, 30.0) else ("f",))


def test_score_of_a_star_further_off_than_the_survey_looks_is_missing():
    feature = FeatureSpec("sgscore1", "ps1_score", clip=(0.0, 1.0), fill=0.5)
    assert value(feature, sgscore1=0.2, distpsnr1=3.0) == np.float32(0.2)
    assert value(feature, sgscore1=0.2, distpsnr1=120.0) == 0.5
    assert value(feature, sgscore1=0.2, distpsnr1=None) == 0.5


@pytest.mark.parametrize(("given", "expected"), [(True, -1.0), (False, 2.0), (1, -1.0), (0, 2.0), (None, -1.0)])
def test_boolean_is_worth_what_the_bundle_says(given, expected):
    feature = FeatureSpec("f", "isdiffpos", true_value=-1.0, false_value=2.0, fill=-1.0)
    assert value(feature, isdiffpos=given) == expected


@pytest.mark.parametrize("clip", [(None, None), (0.0, 10.0)])
@pytest.mark.parametrize("transform", ["identity", "asinh"])
@pytest.mark.parametrize(
    "given", [math.inf, -math.inf, "1.5", b"1", [1.0], {}, 10**400, 1 + 2j, pytest.param(10**5000, id="long")]
)
def test_what_is_no_finite_number_is_refused_by_its_name(given, transform, clip):
    assert problem(FeatureSpec("f", "a", transform, clip=clip), a=given).startswith("a is not a finite number")


def test_number_beyond_float32_is_refused_unless_it_is_clipped():
    assert problem(FeatureSpec("f", "a"), a=1e300).startswith("a is 1e+300")
    assert value(FeatureSpec("f", "a", clip=(0.0, 1.0)), a=1e300) == 1.0
    assert value(FeatureSpec("f", "a", "asinh"), a=1e300) == pytest.approx(math.asinh(1e300))


@pytest.mark.parametrize("source", sorted(DERIVED))
@pytest.mark.parametrize("odd", [math.inf, -math.inf, "text", [1]])
def test_field_of_a_derived_quantity_is_refused_by_its_name(source, odd):
    for name in DERIVED[source].fields:
        values = dict.fromkeys(DERIVED[source].fields, 1.0) | {name: odd, "a": 1.0}
        matrix = feature_matrix([samples.valued(**values)], [FeatureSpec("f", source)])
        assert matrix.problems[0].detail.startswith(f"{name} is not a finite number")


@pytest.mark.parametrize("source", sorted(DERIVED))
def test_derived_quantity_that_lacks_a_field_is_missing(source):
    for name in DERIVED[source].fields:
        values = dict.fromkeys(DERIVED[source].fields, 1.0) | {name: None}
        assert feature_matrix([samples.valued(**values)], [FeatureSpec("f", source)]).imputed == [("f",)]


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        ("ps1_g_r", {"sgmag1": 20.0, "srmag1": 19.5}, 0.5),
        ("ps1_r_i", {"srmag1": 20.0, "simag1": 19.5}, 0.5),
        ("ps1_i_z", {"simag1": 20.0, "szmag1": 21.0}, -1.0),
        ("size_over_psf", {"ixx": 4.0, "iyy": 2.0, "ixxPSF": 1.0, "iyyPSF": 2.0}, 2.0),
        ("difference_over_template", {"psfFlux": -30.0, "templateFlux": 10.0}, 3.0),
        ("galactic_latitude_deg", {"ra": 192.85948, "dec": 27.12825}, 90.0),
        ("galactic_longitude_deg", {"ra": 12.85948, "dec": 0.0}, 122.932),
        ("ecliptic_latitude_deg", {"ra": 270.0, "dec": 66.5607}, 90.0),
        ("ecliptic_longitude_deg", {"ra": 90.0, "dec": 0.0}, 90.0),
    ],
)
def test_derived_quantity(source, values, expected):
    assert value(FeatureSpec("f", source), **values) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("template", [0.0, -0.0])
def test_ratio_to_nothing_is_missing(template):
    alerts = [samples.valued(psfFlux=1.0, templateFlux=template)]
    matrix = feature_matrix(alerts, [FeatureSpec("f", "difference_over_template", fill=9.0)])
    assert matrix.imputed == [("f",)] and matrix.values[0, 0] == 9.0


def test_sum_beyond_the_range_of_numbers_is_no_warning():
    values = {"ixx": 1.7e308, "iyy": 1.7e308, "ixxPSF": 1.0, "iyyPSF": 1.0, "a": 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(feature_matrix([samples.valued(**values)], [FeatureSpec("f", "size_over_psf")]).values).all()


def test_upper_limits_are_counted_and_unknown_where_the_history_was_not_read():
    alerts = [Alert(Identity(), non_detections=n) for n in (0, 3, None)]
    matrix = feature_matrix(alerts, [FeatureSpec("f", NON_DETECTIONS, fill=-1.0)])
    assert matrix.values[:, 0].tolist() == [0.0, 3.0, -1.0] and matrix.imputed == [(), (), ("f",)]


def test_needed_fields_are_those_that_the_features_are_made_of():
    features = [FeatureSpec("f", "a"), FeatureSpec("g", "ps1_g_r"), FeatureSpec("h", NON_DETECTIONS)]
    assert needed_fields(features) >= {"a", "sgmag1", "srmag1"}
    assert needs_history(features) and not needs_history(features[:2])


def test_no_alerts_and_no_features_have_their_shapes():
    assert feature_matrix([], [FeatureSpec("f", "a")]).values.shape == (0, 1)
    assert feature_matrix([samples.valued()], []).values.shape == (1, 0)
