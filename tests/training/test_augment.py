"""What is done to examples before a network learns from them."""

from dataclasses import replace

import numpy as np
import pytest

from broker_plugin.training.augment import NO_AUGMENTATION, Augmentation, augmented_features, augmented_stamps

RNG = np.random.default_rng
NOT_OF_HISTORY = np.float32(np.nan)


def blob(row: float, column: float, size: int = 21) -> np.ndarray:
    """One stamp of a round source, (1, size, size, 2)."""
    y, x = np.mgrid[:size, :size]
    source = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8.0)
    return np.stack([source, 2.0 * source], axis=-1)[None].astype(np.float32)


def middle_of(stamp: np.ndarray) -> np.ndarray:
    """Centre of light of a channel, (row, column)."""
    weight = stamp / stamp.sum()
    y, x = np.mgrid[: stamp.shape[0], : stamp.shape[1]]
    return np.array([(weight * y).sum(), (weight * x).sum()])


def test_without_augmentation_nothing_changes() -> None:
    stamps, features = blob(8, 12), RNG(1).normal(size=(1, 5)).astype(np.float32)
    np.testing.assert_array_equal(augmented_stamps(stamps, NO_AUGMENTATION, RNG(2)), stamps)
    np.testing.assert_array_equal(augmented_features(features, NOT_OF_HISTORY, NO_AUGMENTATION, RNG(2)), features)


def test_a_turn_by_any_angle_keeps_the_distance_from_the_middle() -> None:
    turned = replace(NO_AUGMENTATION, max_angle_rad=np.pi)
    made = np.concatenate([augmented_stamps(blob(10, 14), turned, RNG(seed)) for seed in range(20)])
    offsets = np.array([middle_of(stamp[..., 0]) for stamp in made]) - 10
    np.testing.assert_allclose(np.hypot(*offsets.T), 4.0, atol=0.05)
    assert np.ptp(np.arctan2(*offsets.T)) > 3.0


def test_a_shift_of_less_than_a_pixel_moves_all_channels_alike() -> None:
    shifted = replace(NO_AUGMENTATION, subpixel_shift=0.5)
    made = np.concatenate([augmented_stamps(blob(10, 10), shifted, RNG(seed)) for seed in range(20)])
    offsets = np.array([middle_of(stamp[..., 0]) for stamp in made]) - 10
    assert 0.3 < np.abs(offsets).max() <= 0.5 + 1e-3
    np.testing.assert_allclose(made[..., 1], 2.0 * made[..., 0], rtol=1e-5)


def test_noise_is_of_the_size_that_is_asked_for() -> None:
    stamps = np.zeros((4, 21, 21, 3), dtype=np.float32)
    made = augmented_stamps(stamps, replace(NO_AUGMENTATION, noise=0.3), RNG(1))
    assert made.dtype == np.float32
    assert made.std() == pytest.approx(0.3, rel=0.05)


def test_whole_pixels_are_moved_without_being_interpolated() -> None:
    stamps = RNG(1).normal(size=(30, 9, 9, 3)).astype(np.float32)
    made = augmented_stamps(stamps, Augmentation(max_shift=2), RNG(2))
    assert all(np.isin(new, old).all() for new, old in zip(made, stamps, strict=True))
    assert not np.array_equal(made, stamps)


def test_so_many_features_and_whole_alerts_are_hidden() -> None:
    how = replace(NO_AUGMENTATION, feature_dropout=0.2, metadata_dropout=0.1)
    made = augmented_features(np.ones((4000, 10), dtype=np.float32), NOT_OF_HISTORY, how, RNG(1))
    assert (made == 0).mean() == pytest.approx(1 - 0.8 * 0.9, abs=0.01)
    assert (made == 0).all(axis=1).mean() == pytest.approx(0.1, abs=0.02)


def test_so_many_alerts_are_taken_for_the_first_of_their_object() -> None:
    how = replace(NO_AUGMENTATION, history_dropout=0.3)
    first = np.array([np.nan, -3.0], dtype=np.float32)
    made = augmented_features(np.ones((4000, 2), dtype=np.float32), first, how, RNG(1))
    assert (made[:, 0] == 1.0).all()
    assert (made[:, 1] == -3.0).mean() == pytest.approx(0.3, abs=0.03)
