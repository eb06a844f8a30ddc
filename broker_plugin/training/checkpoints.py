"""Fits that go on after an interruption."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CHECKPOINT_NAME = "checkpoint.npz"
_META = "meta"


class CheckpointError(ValueError):
    """A checkpoint that the fit can't go on from; the message says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a fit needs to go on as if nothing had happened.

    Attributes
    ----------
    meta
        What JSON can hold: where the fit stood, the state of its random numbers, its learning curve.
    arrays
        Lists of arrays by name: the variables of networks and optimizer, the best weights so far.
    """

    meta: Mapping[str, Any]
    arrays: Mapping[str, Sequence[np.ndarray]]


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """The newest checkpoint of one fit, in a file that is whole at any time.

    Attributes
    ----------
    identity
        What makes this fit the one that it is, as plain values: a checkpoint of another is refused.
    every
        Batches between two checkpoints, at least; they are written where the held-out alerts are looked at.
    """

    path: Path
    identity: Mapping[str, Any]
    every: int = 1000

    def save(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint in the place of the one before."""
        flat: dict[str, Any] = {
            f"{name}/{i}": array for name, group in checkpoint.arrays.items() for i, array in enumerate(group)
        }
        meta = {"identity": self.identity, "fit": checkpoint.meta}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(self.path.name + ".new")
        with unfinished.open("wb") as file:
            np.savez(file, **{_META: np.array(json.dumps(meta)), **flat})
        os.replace(unfinished, self.path)

    def load(self) -> Checkpoint | None:
        """The checkpoint, or None where there is none.

        Raises
        ------
        CheckpointError
            It can't be read, or is of another fit.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                meta = json.loads(str(file[_META]))
                arrays: dict[str, list[np.ndarray]] = {}
                for key in file.files:  # in the order of writing
                    if key != _META:
                        arrays.setdefault(key.rpartition("/")[0], []).append(file[key])
        except (OSError, ValueError, KeyError, EOFError) as problem:
            raise CheckpointError(f"{self.path}: no checkpoint that can be read: {problem}") from problem
        self._require_same(meta["identity"])
        return Checkpoint(meta["fit"], arrays)

    def _require_same(self, found: Mapping[str, Any]) -> None:
        wanted = json.loads(json.dumps(self.identity))  # as it looks after JSON: tuples are lists
        different = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
        if different:
            raise CheckpointError(
                f"{self.path} is of another fit: {', '.join(different)} differ; "
                "give what was given before, or leave out --resume to begin anew"
            )
