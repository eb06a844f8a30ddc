"""States of fits on disk."""

from pathlib import Path

import numpy as np
import pytest

from broker_plugin.training.checkpoints import Checkpoint, CheckpointError, CheckpointFile


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "new" / "checkpoint.npz", {"seed": 1})
    state = np.random.default_rng(1).bit_generator.state
    arrays = {"member 0": [np.arange(12.0).reshape(3, 4)] + [np.array(i) for i in range(11)], "best": []}
    file.save(Checkpoint({"rng": state}, arrays))
    loaded = file.load()
    assert loaded is not None
    assert loaded.meta["rng"] == state  # with its integers of 128 bits
    assert [array.tolist() for array in loaded.arrays["member 0"]] == [a.tolist() for a in arrays["member 0"]]


def test_there_may_be_none(tmp_path: Path) -> None:
    assert CheckpointFile(tmp_path / "checkpoint.npz", {}).load() is None


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.npz").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="no checkpoint that can be read"):
        CheckpointFile(tmp_path / "checkpoint.npz", {}).load()
