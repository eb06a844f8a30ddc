"""What is imported answers as the original did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from broker_plugin.alert import Alert, Identity
from broker_plugin.bundles import load
from broker_plugin.models import Runtime
from broker_plugin.tensors.metadata import feature_matrix
from broker_plugin.training.published import FEATURES_OF_LAYOUT, import_checkpoint, read_network

from .published import PublishedNetwork, v1


def write_stats(path: Path, features: int) -> Path:
    """A table of made-up means and standard deviations."""
    rows = [f"{feature.name},{i / 2},{1 + i / 4}" for i, feature in enumerate(FEATURES_OF_LAYOUT[features])]
    path.write_text("\n".join(["name,mean,std", *rows]))
    return path


@pytest.mark.parametrize(
    ("features", "kernel", "scope"), [(23, 5, "network"), (26, 3, "a/scope/network"), (0, 3, "network"), (0, 5, "net")]
)
def test_probabilities_are_those_of_the_original(features: int, kernel: int, scope: str, tmp_path: Path) -> None:
    original = PublishedNetwork(features, kernel, scope)
    checkpoint = original.save(tmp_path / "model")
    stats = write_stats(tmp_path / "stats.csv", features) if features else None
    import_checkpoint(checkpoint, tmp_path / "bundle", feature_stats=stats)

    rng = np.random.default_rng(6)
    stamps = rng.random((40, 21, 21, 3), dtype=np.float32) ** np.arange(1, 41, dtype=np.float32)[:, None, None, None]
    metadata = rng.normal(size=(40, features)).astype(np.float32)
    expected = original.probabilities(stamps, metadata)
    assert expected.std(axis=0).max() > 0.01  # worth comparing
    said = Runtime("cpu").load(load(str(tmp_path / "bundle"))).predict(stamps, metadata)
    np.testing.assert_allclose(said.probabilities, expected, atol=1e-5)
    assert said.novelty is None


def test_the_manifest_declares_the_preprocessing_of_the_original(tmp_path: Path) -> None:
    checkpoint = PublishedNetwork(23).save(tmp_path / "model")
    manifest = import_checkpoint(
        checkpoint,
        tmp_path / "bundle",
        feature_stats=write_stats(tmp_path / "stats.csv", 23),
        name="old",
        version="1.0.0",
    )
    assert manifest.label == "old/1.0.0"
    assert manifest.stamps.size == 21
    assert manifest.stamps.channels == ("science", "template", "difference")
    assert manifest.stamps.steps == ("crop", "scale_min_max", "nan_to_zero")
    assert manifest.classes == ("AGN", "SN", "VS", "asteroid", "bogus")
    assert " ".join(feature.name for feature in manifest.features) == (
        "sgscore1 distpsnr1 sgscore2 distpsnr2 sgscore3 distpsnr3 isdiffpos fwhm magpsf sigmapsf ra dec diffmaglim "
        "classtar ndethist ncovhist ecl_lat ecl_long gal_lat gal_long non_detections chinr sharpnr"
    )
    assert manifest.novelty is None and manifest.model.distance_output is None


def test_26_features_are_23_and_three_after_diffmaglim() -> None:
    names = [feature.name for feature in FEATURES_OF_LAYOUT[26]]
    assert names[13:16] == ["rb", "distnr", "magnr"]
    assert names[:13] + names[16:] == [feature.name for feature in FEATURES_OF_LAYOUT[23]]


def test_features_are_clipped_then_standardised_as_by_the_original(tmp_path: Path) -> None:
    checkpoint = PublishedNetwork(23).save(tmp_path / "model")
    manifest = import_checkpoint(checkpoint, tmp_path / "bundle", feature_stats=write_stats(tmp_path / "stats.csv", 23))
    packet = {"isdiffpos": False, "fwhm": 12.0, "ncovhist": 5000, "ndethist": 30, "chinr": None, "ra": 10.0, "dec": 0.0}
    values = feature_matrix([Alert(Identity(), values=packet)], manifest.features).values[0]
    raw = {f.name: value * f.std + f.mean for f, value in zip(manifest.features, values, strict=True)}
    assert raw["isdiffpos"] == pytest.approx(1.0)  # f is 1
    assert raw["fwhm"] == pytest.approx(10.0)
    assert raw["ndethist"] == pytest.approx(20.0)
    assert raw["ncovhist"] == pytest.approx(3000.0)
    assert raw["non_detections"] == pytest.approx(2000.0)
    assert raw["chinr"] == raw["sgscore1"] == pytest.approx(-1.0)  # missing
    assert values[[f.name for f in manifest.features].index("classtar")] == 0.0  # missing, and of no clip


def test_a_network_with_features_needs_their_statistics(tmp_path: Path) -> None:
    checkpoint = PublishedNetwork(26).save(tmp_path / "model")
    with pytest.raises(ValueError, match="26 features, whose means and standard deviations no checkpoint holds"):
        import_checkpoint(checkpoint, tmp_path / "bundle")
    with pytest.raises(ValueError, match="no row for the feature 'rb'"):
        import_checkpoint(checkpoint, tmp_path / "bundle", feature_stats=write_stats(tmp_path / "stats.csv", 23))
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2", "needs the columns name, mean and std"),
        ("name,mean,std\nrb,1,2", "'rb' is not a feature of this network"),
        ("name,mean,std\nra,much,2", "line 2: could not convert"),
        ("name,mean,std\nra,1", "line 2: float"),
    ],
)
def test_a_table_of_other_things_is_refused(text: str, message: str, tmp_path: Path) -> None:
    checkpoint = PublishedNetwork(23).save(tmp_path / "model")
    (tmp_path / "stats.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        import_checkpoint(checkpoint, tmp_path / "bundle", feature_stats=tmp_path / "stats.csv")


def test_a_deviation_of_zero_is_refused(tmp_path: Path) -> None:
    checkpoint = PublishedNetwork(23).save(tmp_path / "model")
    stats = write_stats(tmp_path / "stats.csv", 23)
    stats.write_text(stats.read_text().replace("sgscore1,0.0,1.0", "sgscore1,0.0,0.0"))
    with pytest.raises(ValueError, match="sgscore1: numbers must be finite, std and scale above zero"):
        import_checkpoint(checkpoint, tmp_path / "bundle", feature_stats=stats)


def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    checkpoint = PublishedNetwork(23).save(tmp_path / "model", without="conv_4_5")
    with pytest.raises(ValueError, match="no variable conv_4_5/kernel"):
        read_network(checkpoint)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"network/conv_4_5/conv2d/kernel": (3, 3, 64, 48)},
            r"conv_4_5/conv2d/kernel is of shape \(3, 3, 64, 48\), and",
        ),
        ({"network/conv_2_2/conv2d/kernel": (7, 7, 32, 32)}, "kernels of 7 x 7"),
        ({"network/dense_2_12/dense_2_12/kernel": (74, 64)}, "10 features join the stamps"),
        ({"network/dense_1_10/dense_1_10/kernel": (16384, 64)}, r"dense_1_10/kernel is of shape \(16384, 64\), and"),
        ({"network/conv_1_1/bn/gamma": (32,)}, "conv_1_1/bn/gamma is not of the published network"),
        ({"other/conv_1_1/conv2d/kernel": (4, 4, 3, 32)}, "and other/conv_1_1/conv2d/kernel are both conv_1_1/kernel"),
    ],
)
def test_what_does_not_fit_is_named(variables: dict[str, tuple[int, ...]], message: str, tmp_path: Path) -> None:
    reader = tf.train.load_checkpoint(str(PublishedNetwork(23).save(tmp_path / "whole")))
    shapes = {**reader.get_variable_to_shape_map(), **variables}
    with pytest.raises(ValueError, match=message):
        read_network(save_zeros(tmp_path / "changed", shapes))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    reader = tf.train.load_checkpoint(str(PublishedNetwork(0).save(tmp_path / "whole")))
    with pytest.raises(ValueError, match="output_logits/bias has values that are not finite"):
        read_network(
            save_zeros(tmp_path / "changed", reader.get_variable_to_shape_map(), nan="network/output_logits/bias")
        )


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = PublishedNetwork(0).save(tmp_path / "model")
    data = tmp_path / "model.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(ValueError, match="conv_1_1/conv2d/kernel can't be read"):
        read_network(checkpoint)


def save_zeros(prefix: Path, shapes: dict[str, tuple[int, ...]], nan: str = "") -> Path:
    """A checkpoint of variables of these shapes."""
    with tf.Graph().as_default(), v1.Session() as session:
        for name, shape in shapes.items():
            v1.get_variable(name, initializer=np.full(shape, np.nan if name == nan else 0.0, np.float32))
        session.run(v1.global_variables_initializer())
        return Path(v1.train.Saver().save(session, str(prefix)))


@pytest.mark.parametrize("given", ["model", "model.index", "model.meta", "model.data-00000-of-00001", "."])
def test_any_file_of_a_checkpoint_stands_for_it(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PublishedNetwork(0).save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    assert read_network(Path(given)).inputs[1].shape == (None, 0)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.index").write_bytes(b"nothing of the kind" * 10)
    for path in (tmp_path / "model", tmp_path / "none", tmp_path):
        with pytest.raises(ValueError, match="can't be read as a TensorFlow checkpoint"):
            read_network(path)
