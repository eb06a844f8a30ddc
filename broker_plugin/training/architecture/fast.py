"""Our own network: an order of magnitude less work, and blind to quarter turns and mirrors by construction."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from broker_plugin.training.architecture.blocks import Compressed, RingMean, SymmetricConv2D
from broker_plugin.training.architecture.ends import STEM, after_stem, inputs, with_dense_layers

_FOVEA = 25
_COARSE = 3
_LEARNING_NOISE = 0.05  # added to compressed pixels while learning
_FINE_RINGS = (0.0, 1.2, 2.4, 3.6, 5.2, 7.5)
_HALVED_RINGS = (0.0, 0.8, 1.8, 2.8, 4.0, 5.5)


def fast_network(
    *,
    size: int,
    channels: int,
    features: int,
    classes: int,
    dropout: float = 0.5,
    fovea_widths: tuple[int, ...] = (8, 12, 16, 16),
    context_widths: tuple[int, ...] = (6, 8, 8),
    kernel: int = 3,
) -> keras.Model:
    """Build the untrained network that the packaged bundles hold.

    It looks at a stamp as an eye does: the middle 25 x 25 pixels as they are, and the whole in cells of 3 x 3, which
    tells a galaxy further off and how crowded the field is.  Kernels are symmetric and what they find is averaged in
    rings around the alert, so that no turn by 90 degrees and no mirror changes the answer.  A stamp of less than twice
    the fovea is only looked at as it is.

    Parameters
    ----------
    size, channels
        Of the stamps, (size, size, channels), in units of the noise; the size is odd, and 3 times an odd number if it
        is 50 or more, so that there is a pixel in the middle.
    features, classes
        As for `paper_network`.
    dropout
        Share of the units that are silent while learning.
    fovea_widths, context_widths
        Channels of each convolution over the middle as it is and over the whole in cells; two or more.
    kernel
        Side of the convolutions, odd.

    Returns
    -------
    keras.Model
        As `paper_network`.

    Raises
    ------
    ValueError
        The size has no middle pixel.
    """
    stamps, metadata = inputs(size, channels, features)
    has_context = size >= 2 * _FOVEA
    if size % 2 == 0 or (has_context and size % _COARSE):
        raise ValueError(f"stamps of {size} pixels have no middle pixel for this network")

    # Averages and logarithms in float32 whatever the precision of the rest: bright pixels need it.
    fovea = layers.Cropping2D((size - _FOVEA) // 2)(stamps) if has_context else stamps
    begun = _begun(Compressed(dtype="float32")(fovea), fovea_widths[0], kernel)
    if has_context:
        coarse = layers.AveragePooling2D(_COARSE, dtype="float32")(stamps)
        begun += _begun(Compressed(dtype="float32")(coarse), context_widths[0], kernel)
    stem = keras.Model(stamps, begun, name=STEM)

    inner = [keras.Input(tensor.shape[1:]) for tensor in begun]
    seen = _seen(inner[0], inner[1], fovea_widths[1:], kernel)
    if has_context:
        seen += _seen(inner[2], inner[3], context_widths[1:], kernel)
    return after_stem(stem, with_dense_layers(inner, metadata, seen, classes, dropout))


def _begun(x: Any, width: int, kernel: int) -> list[Any]:
    """The first convolution: what it finds, halved, and its means in rings."""
    x = _convolved(layers.GaussianNoise(_LEARNING_NOISE)(x), width, kernel)
    # Three pixels wide, for two are not symmetric around the middle one.
    return [layers.MaxPooling2D(3, strides=2, padding="same")(x), RingMean(_FINE_RINGS)(x)]


def _seen(x: Any, rings: Any, widths: tuple[int, ...], kernel: int) -> list[Any]:
    """The convolutions after the first, and the means in rings of all: but of the second only where none follows."""
    seen = [rings]
    for number, width in enumerate(widths, start=2):
        x = _convolved(x, width, kernel)
        if number > 2 or len(widths) == 1:
            seen.append(RingMean(_HALVED_RINGS)(x))
    return [layers.Flatten()(each) for each in seen]


def _convolved(x: Any, width: int, kernel: int) -> Any:
    return SymmetricConv2D(width, kernel, padding="same", activation="relu")(x)
