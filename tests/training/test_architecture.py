"""The networks themselves, untrained."""

import keras
import numpy as np
import pytest

from broker_plugin.training.architecture import (
    ARCHITECTURES,
    EMBEDDING,
    PROBABILITIES,
    averaged,
    enhanced_network,
    fast_network,
    paper_image_network,
    paper_network,
    polar_network,
    regularised_cross_entropy,
    ruling_out,
)
from broker_plugin.training.architecture.blocks import Compressed, PolarSamples, RuledOut, TurnedBatch
from broker_plugin.training.cost import megaflops
from broker_plugin.training.fit import FitOptions


@pytest.mark.parametrize(
    ("name", "size"), [("paper-2021", 21), ("paper-2021-images", 21), ("fast", 63), ("fast", 29), ("polar", 29)]
)
def test_the_networks_are_blind_to_quarter_turns_and_ours_to_mirrors(name: str, size: int) -> None:
    keras.utils.set_random_seed(1)
    network = ARCHITECTURES[name](size=size, channels=3, features=4, classes=5)
    rng = np.random.default_rng(2)
    stamps, features = rng.random((3, size, size, 3), dtype=np.float32), rng.random((3, 4), dtype=np.float32)
    straight = network([stamps, features], training=False)
    turned = network([np.rot90(stamps, axes=(1, 2)).copy(), features], training=False)
    np.testing.assert_allclose(straight[PROBABILITIES], turned[PROBABILITIES], atol=1e-5)
    assert straight[EMBEDDING].shape[0] == 3
    if name in ("fast", "polar"):
        mirrored = network([stamps[:, ::-1].copy(), features], training=False)
        np.testing.assert_allclose(straight[PROBABILITIES], mirrored[PROBABILITIES], atol=1e-5)
    shifted = network([np.roll(stamps, 3, axis=1), features], training=False)
    assert np.abs(straight[PROBABILITIES] - shifted[PROBABILITIES]).max() > 1e-4  # but not to where things are


def test_the_average_answers_with_the_mean_and_holds_every_embedding() -> None:
    members = [fast_network(size=29, channels=3, features=4, classes=5) for _ in range(2)]
    rng = np.random.default_rng(2)
    inputs = [rng.normal(size=(3, 29, 29, 3)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)]
    each = [member(inputs, training=False) for member in members]
    both = averaged(members)(inputs, training=False)
    mean = (np.asarray(each[0][PROBABILITIES]) + np.asarray(each[1][PROBABILITIES])) / 2
    np.testing.assert_allclose(both[PROBABILITIES], mean, atol=1e-6)
    np.testing.assert_allclose(both[EMBEDDING], np.concatenate([e[EMBEDDING] for e in each], axis=1), atol=1e-5)


def test_members_of_any_kind_can_be_averaged() -> None:
    for name in ("polar", "rings"):
        members = [ARCHITECTURES[name](size=29, channels=3, features=4, classes=5) for _ in range(2)]
        rng = np.random.default_rng(2)
        inputs = [rng.normal(size=(3, 29, 29, 3)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)]
        mean = sum(np.asarray(member(inputs, training=False)[PROBABILITIES]) for member in members) / 2
        np.testing.assert_allclose(averaged(members)(inputs, training=False)[PROBABILITIES], mean, atol=1e-6)


def test_no_convolution_is_in_vain() -> None:
    for widths in ((4, 6), (4, 6, 8), (4, 6, 8, 8)):
        network = fast_network(size=63, channels=3, features=4, classes=5, fovea_widths=widths, context_widths=widths)
        rng = np.random.default_rng(2)
        inputs = [rng.normal(size=(3, 63, 63, 3)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)]
        before = np.asarray(network(inputs, training=False)[EMBEDDING])
        kernels = [v for v in network.trainable_variables if len(v.shape) == 4]
        assert len(kernels) == 2 * len(widths)
        for kernel in kernels:
            was = np.asarray(kernel)
            kernel.assign(was + 0.1)
            assert np.abs(np.asarray(network(inputs, training=False)[EMBEDDING]) - before).max() > 1e-6
            kernel.assign(was)


def test_what_is_ruled_out_has_no_probability_and_the_others_share_it() -> None:
    network = fast_network(size=29, channels=3, features=4, classes=5)
    rng = np.random.default_rng(2)
    stamps, features = rng.normal(size=(6, 29, 29, 3)).astype(np.float32), rng.normal(size=(6, 4)).astype(np.float32)
    features[:, 2] = (-1.0, 0.0, 0.5, 0.5000001, 1.0, 9.0)
    before = np.asarray(network([stamps, features], training=False)[PROBABILITIES])
    outputs = ruling_out(network, [(3, 2, 0.5)])([stamps, features], training=False)
    after = np.asarray(outputs[PROBABILITIES])
    np.testing.assert_allclose(after[:3], before[:3], atol=1e-6)
    assert not after[3:, 3].any()
    np.testing.assert_allclose(after.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(after[3:, 0] / after[3:, 1], before[3:, 0] / before[3:, 1], rtol=1e-5)
    assert outputs[EMBEDDING].shape == (6, network.output[EMBEDDING].shape[1])


def test_a_network_sure_of_what_can_not_be_still_answers() -> None:
    sure = np.array([[0.0, 1.0, 0.0]], dtype=np.float32)
    made = np.asarray(RuledOut(((1, 0, 0.0),))(sure, np.ones((1, 1), np.float32)))
    np.testing.assert_allclose(made, [[0.5, 0.0, 0.5]])


def test_a_stamp_too_small_for_the_rings_is_refused() -> None:
    with pytest.raises(ValueError, match="smaller than the rings"):
        polar_network(size=21, channels=3, features=4, classes=5)


def test_a_stamp_without_a_middle_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="no middle pixel"):
        fast_network(size=64, channels=3, features=4, classes=5)


def test_all_members_of_ours_cost_a_sixth_of_the_published_one() -> None:
    assert FitOptions().members * megaflops(fast_network(size=63, channels=3, features=24, classes=5)) < 25.0
    assert FitOptions().members * megaflops(polar_network(size=29, channels=3, features=11, classes=5)) < 25.0
    assert 100.0 < megaflops(paper_network(size=21, channels=3, features=26, classes=5)) < 200.0


@pytest.mark.parametrize(("kernel", "features", "joined"), [(3, 26, 90), (5, 23, 87)])
def test_table_2_has_both_nets(kernel: int, features: int, joined: int) -> None:
    network = paper_network(size=21, channels=3, features=features, classes=5, kernel=kernel)
    kernels = [layer.kernel.shape for layer in network.layers if hasattr(layer, "kernel")]
    assert kernels == [
        (4, 4, 3, 32),
        (kernel, kernel, 32, 32),
        (kernel, kernel, 32, 64),
        (kernel, kernel, 64, 64),
        (kernel, kernel, 64, 64),
        (2304, 64),
        (joined, 64),
        (64, 64),
        (64, 5),
    ]


def test_the_network_for_stamps_alone_looks_at_no_metadata() -> None:
    network = paper_image_network(size=21, channels=3, features=4, classes=5)
    rng = np.random.default_rng(2)
    stamps = rng.random((3, 21, 21, 3), dtype=np.float32)
    one, other = (network([stamps, np.full((3, 4), x, np.float32)], training=False) for x in (0.0, 5.0))
    np.testing.assert_array_equal(one[PROBABILITIES], other[PROBABILITIES])
    kernels = [layer.kernel.shape for layer in network.layers if hasattr(layer, "kernel")]
    assert kernels[-3:] == [(2304, 64), (64, 64), (64, 5)]


def test_samples_on_rings_move_with_turns_and_mirrors() -> None:
    layer = PolarSamples((0.0, 1.0, 3.0, 7.5), angles=8, width=0.8)
    stamps = np.random.default_rng(2).normal(size=(1, 29, 29, 1)).astype(np.float32)
    samples = np.asarray(layer(stamps))
    quarter = np.asarray(layer(np.rot90(stamps, -1, axes=(1, 2)).copy()))  # from the columns' direction to the rows'
    np.testing.assert_allclose(quarter, np.roll(samples, 2, axis=2), atol=1e-6)
    mirrored = np.asarray(layer(stamps[:, ::-1].copy()))
    np.testing.assert_allclose(mirrored, np.roll(samples[:, :, ::-1], 1, axis=2), atol=1e-6)


def blob(angle_rad: float, size: int = 33) -> np.ndarray:
    """Stamps of a smooth, lopsided source, seen at an angle, (1, size, size, 3)."""
    y, x = np.indices((size, size)) - (size - 1) / 2
    u, v = np.cos(angle_rad) * x - np.sin(angle_rad) * y, np.sin(angle_rad) * x + np.cos(angle_rad) * y
    shapes = [np.exp(-(((u - shift) / 5) ** 2) - (v / 2.5) ** 2) for shift in (0.0, 2.0, 4.0)]
    return np.stack(shapes, axis=-1)[None].astype(np.float32)


def test_small_turns_are_interpolated_about_the_middle() -> None:
    turned = np.asarray(TurnedBatch(6, 0.6)(blob(0.0), training=False))
    for copy, angle in zip(turned, (-0.5, -0.3, -0.1, 0.1, 0.3, 0.5), strict=True):
        np.testing.assert_allclose(copy, blob(angle)[0], atol=0.05)  # which blunts a peak


def test_turns_are_random_while_learning_and_stay_within_the_range() -> None:
    layer = TurnedBatch(6, 0.08)
    stamps = np.concatenate([blob(0.0), blob(0.0)])
    first, second = (np.asarray(layer(stamps, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3  # anew each time
    assert np.abs(first[0] - first[1]).max() > 1e-4  # each stamp by its own angle
    furthest = max(np.abs(blob(angle) - stamps[:1]).max() for angle in (-0.08, 0.08))
    assert np.abs(first - stamps[0]).max() < furthest + 0.03


def test_the_enhanced_network_says_the_same_each_time_and_in_any_batch() -> None:
    network = enhanced_network(size=33, channels=3, features=4, classes=5)
    rng = np.random.default_rng(2)
    stamps, features = rng.random((5, 33, 33, 3), dtype=np.float32), rng.random((5, 4), dtype=np.float32)
    together = np.asarray(network([stamps, features], training=False)[PROBABILITIES])
    for row in range(5):
        alone = network([stamps[row : row + 1], features[row : row + 1]], training=False)[PROBABILITIES]
        np.testing.assert_array_equal(np.asarray(alone)[0], together[row])


def test_the_loss_is_cross_entropy_minus_entropy() -> None:
    truth, said = np.array([[1.0, 0.0]], dtype=np.float32), np.array([[0.8, 0.2]], dtype=np.float32)
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    loss = np.asarray(regularised_cross_entropy(0.5)(truth, said))
    np.testing.assert_allclose(loss, [-np.log(0.8) - 0.5 * entropy], rtol=1e-5)


def test_pixels_are_compressed_by_the_inverse_hyperbolic_sine() -> None:
    pixels = np.concatenate([-np.geomspace(1e-6, 1e15, 50), [0.0], np.geomspace(1e-6, 1e15, 50), [3e38]])
    made = np.asarray(Compressed()(pixels.astype(np.float32)))
    np.testing.assert_allclose(made[:-1], np.arcsinh(pixels[:-1]) / 3.0, rtol=1e-5, atol=1e-7)
    assert made[-1] == made[-2]
