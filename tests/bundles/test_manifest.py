"""The manifest: what goes in comes out, and what can't be meant is refused."""

from __future__ import annotations

import json
import math

import pytest

from broker_plugin.bundles import BundleError, FeatureSpec, Manifest, NoveltySpec, StampSpec

from . import samples


def refusal(raw: object) -> str:
    with pytest.raises(BundleError) as caught:
        Manifest.from_json(raw if isinstance(raw, str) else json.dumps(raw))
    return str(caught.value)


def test_round_trip_gives_the_same_manifest():
    manifest = samples.manifest()
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_round_trip_without_what_may_be_left_out():
    manifest = samples.manifest(novelty=None, exclusions=(), features=(), training={}, metrics={}, files={})
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("wrong", [{"class_name": "SNe"}, {"feature": "mag"}])
def test_exclusion_by_what_the_bundle_does_not_have_is_refused(wrong):
    exclusion = {"class_name": "AGN", "feature": "magpsf", "above": 23.5, **wrong}
    assert "of no class or feature" in refusal(samples.as_dict(exclusions=[exclusion]))


def test_manifest_from_before_there_were_exclusions_has_none():
    raw = samples.as_dict()
    del raw["exclusions"]
    assert Manifest.from_json(json.dumps(raw)).exclusions == ()


def test_label_is_name_and_version():
    assert samples.manifest().label == "test-ztf/1.2.3"


@pytest.mark.parametrize(
    "version", ["0.0.0", "1.10.2", "1.0.0-rc.1", "1.0.0-alpha-1.0x", "1.0.0+build.5", "1.0.0-rc.1+b5"]
)
def test_semantic_version_is_taken(version):
    assert samples.manifest(version=version).version == version


@pytest.mark.parametrize(
    "version",
    [
        "1",
        "1.0",
        "1.0.0.0",
        "v1.0.0",
        "01.0.0",
        "1.0.0-",
        "1.0.0-01",
        "1.0.0-a..b",
        "1.0.0+",
        "",
        "../1.0.0",
        "1.0.\u0661",
    ],
)
def test_what_is_no_semantic_version_is_refused(version):
    assert "semantic version" in refusal(samples.as_dict(version=version))


@pytest.mark.parametrize("name", ["", "Upper", "a b", "a_b", "-a", "a-", "a--b", "../a", "a/b", "é"])
def test_name_must_be_words_joined_by_hyphens(name):
    assert "lower-case words" in refusal(samples.as_dict(name=name))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format"),
        ({"format": None}, "format"),
        ({"kind": "spectral"}, "kind 'spectral' is not known"),
        ({"kind": "temporal"}, "has a sequence"),
        ({"sequence": {"length": 5, "features": []}}, "has a sequence"),
        ({"kind": "temporal", "sequence": {"length": 0, "features": []}}, "length 0"),
        ({"kind": "temporal", "sequence": {"length": 5}}, "features"),
        (
            {"kind": "temporal", "sequence": {"length": 5, "features": [{"name": "f", "source": "a"}] * 2}},
            "must differ",
        ),
        ({"classes": []}, "two or more different"),
        ({"classes": ["SN"]}, "two or more different"),
        ({"classes": ["SN", "SN"]}, "two or more different"),
        ({"classes": ["SN", 7]}, "classes: 7 must be a text"),
        ({"classes": "AB"}, "classes is not a list"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": "1"}, "TypeError"),
        ({"survey": None}, "must be a text"),
        ({"survey": ""}, "must be a text"),
        ({"taxonomy": 3}, "must be a text"),
        ({"surprise": 1}, "surprise"),
        ({"stamps": None}, "not a bundle manifest"),
        ({"stamps": {"size": 21}}, "channels"),
        ({"model": {"signatures": {}}}, "signatures is empty"),
        ({"model": {"signatures": {"float32": "s"}, "surprise": 1}}, "surprise"),
        ({"novelty": {"method": "m", "quantiles": [1.0]}}, "quantiles"),
        ({"novelty": {"method": "m", "quantiles": [2.0, 1.0]}}, "quantiles"),
        ({"novelty": {"method": "m", "quantiles": [0.0, math.inf]}}, "quantiles"),
        ({"novelty": {"method": "m", "quantiles": [0.0, math.nan]}}, "quantiles"),
        ({"features": [{"name": "f"}]}, "source"),
        ({"features": [{"name": "f", "source": "a", "surprise": 1}]}, "surprise"),
        ({"features": [{"name": "f", "source": "a"}] * 2}, "feature names must differ"),
        ({"features": {"f": 1}}, "not a bundle manifest"),
    ],
    ids=lambda value: None if isinstance(value, str) else json.dumps(value)[:40],
)
def test_what_can_not_be_meant_is_refused(changes, message):
    assert message in refusal(samples.as_dict(**changes))


def test_a_temporal_manifest_is_read_as_it_was_written():
    sequence = {"length": 5, "features": [{"name": "days", "source": "days_since_first", "transform": "asinh"}]}
    manifest = Manifest.from_json(json.dumps(samples.as_dict(kind="temporal", sequence=sequence)))
    assert manifest.sequence.length == 5
    assert manifest.sequence.features[0].transform == "asinh"
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    "key", ["name", "version", "kind", "survey", "classes", "stamps", "features", "model", "taxonomy", "format"]
)
def test_missing_key_is_refused(key):
    raw = samples.as_dict()
    del raw[key]
    assert key in refusal(raw)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "[" * 100_000, '{"format": 1}'])
def test_text_that_is_no_manifest_is_refused(text):
    refusal(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "size"),
        ({"size": 21.5}, "size"),
        ({"size": "21"}, "size"),
        ({"size": True}, "size"),
        ({"channels": ()}, "channels"),
        ({"channels": ("science", "psf")}, "channels"),
        ({"steps": ("crop",)}, "steps"),
        ({"steps": ("crop", "crop", "nan_to_zero")}, "steps"),
        ({"steps": ("crop", "scale_min_max", "nan_to_zero", "flip")}, "steps"),
        ({"steps": ("crop", "scale_min_max", "scale_noise", "nan_to_zero")}, "steps"),
    ],
)
def test_stamps_that_can_not_be_made_are_refused(changes, message):
    with pytest.raises(BundleError, match=f"stamps: {message}"):
        StampSpec(**({"channels": ("science",), "size": 21} | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"std": 0.0}, "std and scale above zero"),
        ({"std": -1.0}, "std and scale above zero"),
        ({"scale": 0.0}, "std and scale above zero"),
        ({"mean": math.nan}, "finite"),
        ({"fill": math.inf}, "finite"),
        ({"true_value": math.nan}, "finite"),
        ({"transform": "sqrt"}, "transform"),
        ({"transform": "log10"}, "log10 needs"),
        ({"transform": "log10", "clip": (0.0, None), "fill": 1.0}, "log10 needs"),
        ({"transform": "log10", "clip": (1.0, None), "fill": 0.0}, "log10 needs"),
        ({"clip": (2.0, 1.0)}, "clip"),
        ({"clip": (math.nan, 1.0)}, "clip"),
        ({"clip": (1.0,)}, "clip"),
        ({"clip": (1.0, 2.0, 3.0)}, "clip"),
        ({"source": ""}, "must be a text"),
        ({"source": 7}, "must be a text"),
    ],
)
def test_feature_that_can_not_be_computed_is_refused(changes, message):
    with pytest.raises(BundleError, match=message):
        FeatureSpec(**({"name": "f", "source": "a"} | changes))


def test_novelty_may_have_steps():
    assert NoveltySpec("m", (0.0, 0.0, 1.0)).quantiles == (0.0, 0.0, 1.0)


def test_manifest_that_is_not_there_or_no_text_names_its_place(tmp_path):
    with pytest.raises(BundleError, match=str(tmp_path)):
        Manifest.read(tmp_path)
    (tmp_path / "bundle.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match=str(tmp_path)):
        Manifest.read(tmp_path)
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(BundleError, match=str(tmp_path)):
        Manifest.read(tmp_path)
