"""What the tests of training share."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from broker_plugin.simulation import simulate_packets


@pytest.fixture(scope="package")
def alerts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 60 synthetic ZTF packets and their table of labels, a third of them for testing."""
    folder = tmp_path_factory.mktemp("alerts")
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["candid", "object_id", "split", "label", "label_trust", "doctored_metadata"])
        for i, packet in enumerate(simulate_packets("ztf", 60, seed=8)):
            (folder / f"{packet.alert_id}.avro").write_bytes(packet.payload)
            split = "test" if i // 5 % 3 == 0 else "train"
            table.writerow([packet.alert_id, f"object{i}", split, packet.class_name, 1 + i % 3, i == 7])
    return folder
