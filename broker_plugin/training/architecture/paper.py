"""The published networks: Carrasco-Davis et al. 2021 (AJ 162, 231), and Neira, Estévez & Förster 2024 after it."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from broker_plugin.training.architecture.blocks import RotationBatch, RotationMean, TurnedBatch
from broker_plugin.training.architecture.ends import EMBEDDING, inputs, with_answer


def paper_network(
    *, size: int, channels: int, features: int, classes: int, kernel: int = 3, dropout: float = 0.5
) -> keras.Model:
    """Build the untrained network of the 2021 paper, Table 2.

    The four 90-degree rotations of the stamps go through one convolutional trunk, stacked on the batch axis;
    their dense layers are averaged ("cyclic pooling", Dieleman et al. 2016, arXiv:1602.02660), so that the answer does
    not depend on which way up the detector was.  The metadata join there, through batch normalisation.

    Layers have the names that they have in the published code, as far as `checkpoints` needs them.  That code also
    drops units after the first and the third dense layer, which Table 2 has not.

    Parameters
    ----------
    size, channels
        Of the stamps, (size, size, channels).
    features
        Number of metadata features.
    kernel
        Side of the inner convolutions.  Table 2 mixes two nets: 3 x 3, and the deployed one with 5 x 5.
    dropout
        Share of the units that are silent while learning.

    Returns
    -------
    keras.Model
        Inputs ``stamps`` and ``features``; outputs ``probabilities`` (batch, classes) and ``embedding``
        (batch, 64), the last layer before them.
    """
    stamps, metadata = inputs(size, channels, features)
    x = RotationMean()(_dense(_trunk(RotationBatch()(stamps), kernel), "dense_1"))
    return _joined(stamps, metadata, x, classes, dropout)


def paper_image_network(
    *, size: int, channels: int, features: int = 0, classes: int, kernel: int = 3, dropout: float = 0.5
) -> keras.Model:
    """Build the untrained network of the 2021 paper for stamps alone.

    The mean over rotations comes after the second dense layer here, and the answer straight after it.

    Parameters
    ----------
    size, channels, features, classes, kernel, dropout
        As for `paper_network`; the features are an input that is not looked at.

    Returns
    -------
    keras.Model
        As `paper_network`.
    """
    stamps, metadata = inputs(size, channels, features)
    x = _dense(_trunk(RotationBatch()(stamps), kernel), "dense_1")
    x = _dense(layers.Dropout(dropout)(x), "dense_2")
    embedding = RotationMean(name=EMBEDDING)(x)
    return with_answer([stamps, metadata], embedding, embedding, classes)


COPIES_2024 = 6
MAX_ANGLE_2024_RAD = 0.08


def enhanced_network(
    *, size: int, channels: int, features: int, classes: int, kernel: int = 3, dropout: float = 0.5
) -> keras.Model:
    """Build the untrained network for one detection of Neira, Estévez & Förster 2024 (arXiv:2405.15073).

    It is that of the 2021 paper with larger stamps, 33 x 33, and with six small turns, within 0.08 rad, in the place of
    the four quarter turns: random while learning, fixed in a bundle, where the paper draws them at prediction too.  See
    `TurnedBatch` for which and why.  Of what else that paper changes we know only that it does; the rest is Table 2 of
    2021.

    Parameters
    ----------
    size, channels, features, classes, kernel, dropout
        As for `paper_network`.

    Returns
    -------
    keras.Model
        As `paper_network`.
    """
    stamps, metadata = inputs(size, channels, features)
    # In float32 whatever the precision of the rest: it is where pixels are that is computed here.
    turned = TurnedBatch(COPIES_2024, MAX_ANGLE_2024_RAD, dtype="float32")(stamps)
    x = RotationMean(COPIES_2024)(_dense(_trunk(turned, kernel), "dense_1"))
    return _joined(stamps, metadata, x, classes, dropout)


def _trunk(x: Any, kernel: int) -> Any:
    """From stamps to the flat output of the last pooling."""
    x = layers.ZeroPadding2D(3)(x)
    x = layers.Conv2D(32, 4, activation="relu", name="conv_1_1")(x)
    x = layers.Conv2D(32, kernel, padding="same", activation="relu", name="conv_2_2")(x)
    x = layers.MaxPooling2D()(x)
    for name in ("conv_3_4", "conv_4_5", "conv_5_6"):
        x = layers.Conv2D(64, kernel, padding="same", activation="relu", name=name)(x)
    x = layers.MaxPooling2D()(x)
    return layers.Flatten()(x)


def _joined(stamps: Any, metadata: Any, x: Any, classes: int, dropout: float) -> keras.Model:
    """The network whose stamps have become ``x``, from where the metadata join on."""
    x = layers.Concatenate()([x, layers.BatchNormalization(name="batchnorm_features")(metadata)])
    x = layers.Dropout(dropout)(_dense(x, "dense_2"))
    embedding = _dense(x, EMBEDDING)
    return with_answer([stamps, metadata], embedding, embedding, classes)


def _dense(x: Any, name: str) -> Any:
    return layers.Dense(64, activation="relu", name=name)(x)
