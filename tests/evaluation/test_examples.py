"""Tables of labels."""

from pathlib import Path

import pytest

from broker_plugin.evaluation.examples import read_labels


def test_labels_without_the_needed_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("name,kind\na,b\n")
    with pytest.raises(ValueError, match="needs the columns candid"):
        read_labels(tmp_path / "labels.csv")


def test_a_bad_row_of_labels_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("candid,label\n1,SN\ntwo,SN\n")
    with pytest.raises(ValueError, match="line 3"):
        read_labels(tmp_path / "labels.csv")
