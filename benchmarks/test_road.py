"""What each part of the road costs.  `make bench` runs it; one core, one thread, synthetic packets of the examples.

The time of each line is of one batch of the size in its name; OPS are batches a second.
"""

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from broker_plugin.alert import Alert
from broker_plugin.records.writers import open_writer
from broker_plugin.stage import Stage, load_stage
from broker_plugin.tensors import make_batch

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "packets"
SURVEYS = ("ztf", "rubin")


@pytest.fixture(scope="module", params=SURVEYS)
def survey(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def stage(survey: str) -> Stage:
    return load_stage([f"stamp-{survey}"], device="cpu", threads=1)


@pytest.fixture(scope="module")
def packets(survey: str) -> list[bytes]:
    """128 packets: the examples over and over."""
    some = [path.read_bytes() for path in sorted((EXAMPLES / survey).iterdir())]
    return [some[i % len(some)] for i in range(128)]


@pytest.fixture(scope="module")
def alerts(stage: Stage, packets: list[bytes]) -> list[Alert]:
    return [alert for packet in packets if isinstance(alert := stage.reader.read(packet), Alert)]


def test_read_128_packets(benchmark: BenchmarkFixture, stage: Stage, packets: list[bytes]) -> None:
    benchmark(lambda: [stage.reader.read(packet) for packet in packets])


def test_tensors_of_128_alerts(benchmark: BenchmarkFixture, stage: Stage, alerts: list[Alert]) -> None:
    benchmark(make_batch, alerts, stage.classifiers[0].manifest)


@pytest.mark.parametrize("size", [1, 16, 128])
def test_stage(benchmark: BenchmarkFixture, stage: Stage, packets: list[bytes], size: int) -> None:
    """Bytes in, records out."""
    stage.on_alerts(packets[:size])
    benchmark(stage.on_alerts, packets[:size])


@pytest.mark.parametrize("suffix", ["avro", "jsonl"])
def test_write_128_records(
    benchmark: BenchmarkFixture, stage: Stage, packets: list[bytes], tmp_path: Path, suffix: str
) -> None:
    records = [record for records in stage.on_alerts(packets) for record in records]

    def write() -> None:
        with open_writer(tmp_path / f"records.{suffix}") as writer:
            writer.write(records)

    benchmark(write)
