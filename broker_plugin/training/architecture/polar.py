"""A network that hardly notices by what angle its stamps are turned: for surveys whose stamps are not north-up."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from broker_plugin.training.architecture.blocks import (
    Compressed,
    MirroredConv2D,
    PolarSamples,
    RoundPadding,
)
from broker_plugin.training.architecture.ends import STEM, after_stem, inputs, with_dense_layers

_RADII = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.5, 9.0, 10.5, 11.5)
_ANGLES = 24
_WIDTH = 0.8
_LEARNING_NOISE = 0.05  # added to compressed pixels while learning
_CHANNELS = (12, 16, 24, 24)


def polar_network(*, size: int, channels: int, features: int, classes: int, dropout: float = 0.5) -> keras.Model:
    """Build the untrained network.

    It takes samples of the stamps on rings around the middle, looks for patterns between neighbouring samples, and
    averages what it finds round each ring.  A turn moves the samples round the circle, and a mirror reverses them;
    neither changes the averages.  This holds exactly for mirrors and turns by 90 degrees, and for others as nearly as
    the samples are smooth.  No pixel further than 13.5 from the middle matters, so the corners of a stamp don't.

    Parameters
    ----------
    size, channels
        Of the stamps, (size, size, channels), in units of the noise; `tensors.stamps.scale_disc_noise` is the scaling
        that does not depend on the angle either.  At least 24.
    features, classes
        As for `paper_network`.
    dropout
        Share of the units that are silent while learning.

    Returns
    -------
    keras.Model
        As `paper_network`.

    Raises
    ------
    ValueError
        The stamps are smaller than the largest ring.
    """
    if size < 2 * _RADII[-1] + 1:
        raise ValueError(f"stamps of {size} pixels are smaller than the rings that this network looks at")
    stamps, metadata = inputs(size, channels, features)
    # In float32 whatever the precision of the rest: bright pixels need it.
    x = PolarSamples(_RADII, _ANGLES, _WIDTH, dtype="float32")(Compressed(dtype="float32")(stamps))
    x = _convolved(layers.GaussianNoise(_LEARNING_NOISE)(x), _CHANNELS[0])
    # Every other sample; three wide, for two are not the same either way round.
    halved = layers.AveragePooling2D((1, 3), strides=(1, 2))(RoundPadding()(x)[:, 1:-1])
    begun = [halved, _round_each_ring(x)]
    stem = keras.Model(stamps, begun, name=STEM)

    inner = [keras.Input(tensor.shape[1:]) for tensor in begun]
    x, seen = inner[0], [inner[1]]
    for number, width in enumerate(_CHANNELS[1:]):
        x = _convolved(x, width)
        if number:
            seen.append(_round_each_ring(x))
    seen = [layers.Flatten()(each) for each in seen]
    return after_stem(stem, with_dense_layers(inner, metadata, seen, classes, dropout))


def _convolved(x: Any, width: int) -> Any:
    return MirroredConv2D(width, 3, activation="relu")(RoundPadding()(x))


def _round_each_ring(x: Any) -> Any:
    """The mean over the angles; a pooling adds up in the same order in any batch, and a mean does not."""
    return layers.AveragePooling2D((1, x.shape[2]))(x)
