"""The road from end to end: packets in, records out, each one accounted for."""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest

import broker_plugin
from broker_plugin.alert import Alert, Identity, Reason
from broker_plugin.packets import PacketFiles, PacketReader
from broker_plugin.records.record import ClassificationRecord
from broker_plugin.records.validation import validate_record
from broker_plugin.simulation import simulate_packets
from broker_plugin.stage import Stage, load_stage

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "packets"


@pytest.fixture(scope="module")
def stage(tiny_weights: Path) -> Stage:
    return load_stage(["tiny-ztf", "tiny-rubin"], weights=tiny_weights, device="cpu", max_batch=32)


@pytest.fixture(scope="module")
def packets() -> list[bytes]:
    """Five good ones of each survey."""
    return [packet.payload for survey in ("ztf", "rubin") for packet in simulate_packets(survey, 5, seed=11)]


def ztf_dict(payload: bytes) -> dict[str, Any]:
    return next(fastavro.reader(io.BytesIO(payload)))


def probabilities(record: ClassificationRecord) -> list[float]:
    return [c.probability for c in record.classifications]


def fits(cards: dict[str, str], data: bytes) -> bytes:
    header = "".join(f"{key:8s}= {value:>20s}".ljust(80) for key, value in cards.items()) + "END".ljust(80)
    return (header.ljust(-(-len(header) // 2880) * 2880)).encode() + data


def stamp(pixels: np.ndarray) -> bytes:
    rows, columns = pixels.shape
    cards = {"SIMPLE": "T", "BITPIX": "-32", "NAXIS": "2", "NAXIS1": str(columns), "NAXIS2": str(rows)}
    return gzip.compress(fits(cards, pixels.astype(">f4").tobytes()))


HUGE = fits({"SIMPLE": "T", "BITPIX": "-32", "NAXIS": "2", "NAXIS1": "1000000", "NAXIS2": "1000000"}, b"\0" * 2880)
BOMB = gzip.compress(bytes(64 << 20))


def with_cutout(raw: Any, name: str = "cutoutTemplate") -> Callable[[bytes], dict[str, Any]]:
    return lambda good: {**ztf_dict(good), name: None if raw is None else {"fileName": "x", "stampData": raw}}


def with_candidate(**fields: Any) -> Callable[[bytes], dict[str, Any]]:
    def change(good: bytes) -> dict[str, Any]:
        packet = ztf_dict(good)
        return {**packet, "candidate": {**packet["candidate"], **fields}}

    return change


def without(*names: str) -> Callable[[bytes], dict[str, Any]]:
    return lambda good: {key: value for key, value in ztf_dict(good).items() if key not in names}


BAD: dict[str, tuple[Callable[[bytes], Any], Reason, str]] = {
    "no bytes": (lambda good: b"", Reason.EMPTY_PACKET, "no bytes"),
    "garbage": (lambda good: b"\xde\xad\xbe\xef" * 99, Reason.UNREADABLE, "de ad be ef"),
    "truncated": (lambda good: good[: len(good) // 2], Reason.UNREADABLE, "truncated"),
    "not bytes": (lambda good: 42, Reason.UNREADABLE, "int"),
    "None": (lambda good: None, Reason.UNREADABLE, "NoneType"),
    "empty dict": (lambda good: {}, Reason.UNSUPPORTED_SURVEY, "dict"),
    "gzip bomb": (lambda good: BOMB, Reason.TOO_LARGE, "packet"),
    "unknown schema id": (lambda good: b"\0\0\0\x30\x39" + b"x" * 50, Reason.UNKNOWN_SCHEMA, "12345"),
    "candidate missing": (without("candidate"), Reason.MISSING_FIELD, "candidate"),
    "candidate of the wrong type": (
        lambda good: {**ztf_dict(good), "candidate": [1]},
        Reason.INVALID_FIELD,
        "candidate",
    ),
    "an Alert made wrongly": (
        lambda good: Alert(Identity(survey="ztf", alert_id=7, mjd="today")),  # type: ignore[arg-type]
        Reason.INVALID_FIELD,
        "identity",
    ),
    "a number of 400 digits": (with_candidate(chinr=10**400), Reason.INVALID_FIELD, "chinr"),
    "id missing": (
        lambda good: {**with_candidate(candid=None)(good), "candid": None},
        Reason.MISSING_FIELD,
        "candid",
    ),
    "id as a double": (lambda good: {**ztf_dict(good), "candid": 1.1e18}, Reason.INVALID_FIELD, "candid"),
    "id of 70 bits": (lambda good: {**ztf_dict(good), "candid": 2**70}, Reason.INVALID_FIELD, "candid"),
    "no position": (with_candidate(ra=None), Reason.MISSING_FIELD, "candidate.ra"),
    "position NaN": (with_candidate(dec=float("nan")), Reason.INVALID_FIELD, "candidate.dec"),
    "a string for a number": (with_candidate(classtar="star"), Reason.INVALID_FIELD, "classtar"),
    "an infinite number": (with_candidate(magpsf=float("inf")), Reason.INVALID_FIELD, "magpsf"),
    "no cutouts": (
        without("cutoutScience", "cutoutTemplate", "cutoutDifference"),
        Reason.NO_CUTOUTS,
        "no cutouts",
    ),
    "one cutout missing": (without("cutoutTemplate"), Reason.MISSING_CUTOUT, "cutoutTemplate"),
    "one cutout null": (with_cutout(None), Reason.MISSING_CUTOUT, "cutoutTemplate"),
    "cutout of no bytes": (with_cutout(b""), Reason.MISSING_CUTOUT, "cutoutTemplate"),
    "cutout of text": (with_cutout("pixels"), Reason.INVALID_FIELD, "cutoutTemplate"),
    "cutout garbage": (with_cutout(b"\x1f\x8bgarbage"), Reason.CORRUPT_CUTOUT, "cutoutTemplate"),
    "cutout JPEG": (with_cutout(b"\xff\xd8\xff\xe0" + bytes(99)), Reason.UNSUPPORTED_CUTOUT, "cutoutTemplate"),
    "cutout bomb": (with_cutout(BOMB), Reason.TOO_LARGE, "cutoutTemplate"),
    "cutout that claims a million pixels": (with_cutout(HUGE), Reason.TOO_LARGE, "cutoutTemplate"),
    "cutout of NaN": (with_cutout(stamp(np.full((63, 63), np.nan))), Reason.BLANK_CUTOUT, "cutoutTemplate"),
    "cutout of one value": (with_cutout(stamp(np.full((63, 63), 7.0))), Reason.BLANK_CUTOUT, "cutoutTemplate"),
    "cutout of a strange shape": (with_cutout(stamp(np.ones((63, 20)))), Reason.CORRUPT_CUTOUT, "cutoutTemplate"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_packet_gets_its_record_and_its_neighbours_keep_theirs(
    stage: Stage, packets: list[bytes], case: str
) -> None:
    make, reason, named = BAD[case]
    alone = [stage.on_alert(packet)[0] for packet in packets]
    batch = [*packets[:3], make(packets[3]), *packets[3:]]
    results = stage.on_alerts(batch)

    assert [len(records) for records in results] == [1] * len(batch)
    bad = results.pop(3)[0]
    assert (bad.reason, bad.status) == (reason.value, reason.status.value)
    assert named in (bad.detail or "")
    assert validate_record(bad) == []
    for [record], [before] in zip(results, ([r] for r in alone), strict=True):
        assert record.status == "ok"
        assert probabilities(record) == probabilities(before)
        assert record.novelty == before.novelty


def test_an_empty_batch_gives_no_records(stage: Stage) -> None:
    assert stage.on_alerts([]) == []


def test_good_packets_are_classified_and_valid(stage: Stage, packets: list[bytes]) -> None:
    for packet, [record] in zip(packets, stage.on_alerts(packets), strict=True):
        assert record.status == "ok"
        assert validate_record(record) == []
        assert record.classifier_name == f"tiny-{record.survey}"
        assert record.model_sha256 is not None
        alert = PacketReader().read(packet)
        assert isinstance(alert, Alert)
        earlier = len(alert.history) if record.survey == "ztf" else 0  # no feature of Rubin's looks at the history
        assert (record.detections_used, record.stamps_used) == (1 + earlier, 3)
        assert abs(sum(probabilities(record)) - 1.0) < 1e-6


def test_the_same_packet_twice_gives_the_same_record_id_and_answer(stage: Stage, packets: list[bytes]) -> None:
    [[first], [second]] = stage.on_alerts([packets[0], packets[0]])
    assert first.record_id == second.record_id
    assert probabilities(first) == probabilities(second)


def test_bytes_dict_and_alert_give_the_same_answer(stage: Stage, packets: list[bytes]) -> None:
    alert = stage.reader.read(packets[0])
    assert isinstance(alert, Alert)
    forms = [packets[0], gzip.compress(packets[0]), bytearray(packets[0]), ztf_dict(packets[0]), alert]
    answers = {tuple(probabilities(record)) for [record] in stage.on_alerts(forms)}
    assert len(answers) == 1


def test_ids_beyond_2_to_53_keep_their_digits(stage: Stage, packets: list[bytes]) -> None:
    packet = {**ztf_dict(packets[0]), "candid": 2**63 - 1}
    [record] = stage.on_alert(packet)
    assert record.alert_id == 2**63 - 1
    assert json.loads(json.dumps(record.alert_id)) == 9223372036854775807


def test_what_the_packet_lacks_is_named(stage: Stage, packets: list[bytes]) -> None:
    packet = with_candidate(elong=None, classtar=-999.0, chinr=float("nan"))(packets[0])
    [record] = stage.on_alert(packet)
    assert record.status == "ok"
    assert {"elong", "classtar", "chinr"} <= set(record.imputed_features)
    assert not {"elong", "classtar", "chinr"} & set(stage.on_alert(packets[0])[0].imputed_features)


def test_a_survey_that_no_classifier_is_for_gets_a_record_of_the_stage(
    tiny_weights: Path, packets: list[bytes]
) -> None:
    only_ztf = load_stage(["tiny-ztf"], weights=tiny_weights, device="cpu")
    [record] = only_ztf.on_alert(packets[-1])
    assert (record.classifier_name, record.reason, record.survey) == ("broker-plugin", "unsupported_survey", "rubin")
    assert (record.kind, record.model_sha256) == ("stage", None)


def test_two_classifiers_of_one_survey_both_answer(tiny_weights: Path, packets: list[bytes]) -> None:
    both = load_stage(["tiny-ztf", str(tiny_weights / "tiny-ztf" / "0.1.0")], weights=tiny_weights, device="cpu")
    assert [len(records) for records in both.on_alerts([packets[0], b"junk"])] == [2, 1]


def test_a_bundle_that_is_not_there_is_an_error(tiny_weights: Path) -> None:
    with pytest.raises(broker_plugin.BundleError, match=r"no bundle 'nonesuch'; found: .*tiny-ztf"):
        load_stage(["nonesuch"], weights=tiny_weights)


def test_a_folder_of_bundles_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(broker_plugin.BundleError, match="no such folder of bundles"):
        load_stage(weights=tmp_path / "nonesuch")


def test_what_lies_in_the_working_directory_does_not_stand_in_for_a_bundle(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny-ztf").symlink_to(tiny_weights / "tiny-rubin" / "0.1.0")
    monkeypatch.chdir(tmp_path)
    assert load_stage(["tiny-ztf"], weights=tiny_weights, device="cpu").surveys == ("ztf",)
    assert load_stage(["./tiny-ztf"], device="cpu").surveys == ("rubin",)


def test_an_unreadable_packet_is_told_by_its_digest(stage: Stage) -> None:
    [[one], [other], [again]] = stage.on_alerts([b"junk", b"rubbish", b"junk"])
    assert one.packet_sha256 == again.packet_sha256 != other.packet_sha256
    assert one.record_id == again.record_id != other.record_id


def test_alerts_made_wrongly_are_told_apart(stage: Stage) -> None:
    alerts = [Alert(Identity(survey="ztf", alert_id=i, mjd="today")) for i in (1, 2)]  # type: ignore[arg-type]
    [[one], [other]] = stage.on_alerts(alerts)
    assert one.record_id != other.record_id


# With the packaged weights


@pytest.fixture(scope="module")
def packaged() -> Stage:
    return load_stage(device="cpu")


def test_the_packaged_weights_classify_the_examples(packaged: Stage) -> None:
    paths = sorted(EXAMPLES.rglob("*.avro"))
    results = packaged.on_alerts([path.read_bytes() for path in paths])
    assert [len(records) for records in results] == [1] * len(paths)
    assert {records[0].status for records in results} == {"ok"}
    assert {records[0].classifier_name for records in results} == {"stamp-ztf", "stamp-rubin"}


def real_results(packaged: Stage, paths: list[Path]) -> Iterator[tuple[Any, list[ClassificationRecord]]]:
    alerts = list(PacketFiles(paths, packaged.reader))
    yield from zip(alerts, packaged.on_alerts(alerts), strict=True)


def test_every_real_packet_has_one_record_and_a_good_one_is_classified(packaged: Stage, shared_alerts: Path) -> None:
    reasons: Counter[tuple[str, str | None]] = Counter()
    for _, [record] in real_results(packaged, [shared_alerts / "ztf", shared_alerts / "rubin"]):
        reasons[record.status, record.reason] += 1
        assert validate_record(record) == []
    assert set(reasons) == {("ok", None)}


def test_odd_packets_say_what_is_odd(packaged: Stage, shared_alerts: Path) -> None:
    seen = Counter()
    for _, [record] in real_results(packaged, [shared_alerts / "odd"]):
        assert validate_record(record) == []
        seen[record.status, record.reason] += 1
    assert seen == {
        ("skipped", "unsupported_survey"): 4,
        ("skipped", "unsupported_cutout"): 2,  # JPEG, of the first weeks of ZTF
        ("skipped", "no_cutouts"): 6,
        ("error", "unknown_schema"): 4,  # samples whose header names a schema id that there never was
    }


@pytest.fixture(scope="module")
def strong_answers(packaged: Stage, shared_alerts: Path) -> list[bool]:
    """For each alert of the ZTF test split with a label of trust 1 or 2, whether the packaged weights are right."""
    with (shared_alerts / "labels.csv").open(newline="") as file:
        labels = {int(r["candid"]): r["label"] for r in csv.DictReader(file) if r["label_trust"] in ("1", "2")}
    return [
        record.class_name == labels[record.alert_id]
        for _, [record] in real_results(packaged, [shared_alerts / "ztf" / "test.avro"])
        if record.alert_id in labels
    ]


def test_the_model_card_says_what_a_user_measures(strong_answers: list[bool]) -> None:
    [bundle] = [bundle for bundle in broker_plugin.find_bundles() if bundle.manifest.name == "stamp-ztf"]
    score = bundle.manifest.metrics["test_trust_1_2"]
    # Another processor rounds otherwise, which may tip one alert.
    assert (score["n"], score["accuracy"]) == (192, pytest.approx(np.mean(strong_answers), abs=1.5 / 192))


def test_real_test_split_is_right_often_enough(strong_answers: list[bool]) -> None:
    assert np.mean(strong_answers) >= 0.85


def test_projection_changes_no_answer(packaged: Stage, shared_alerts: Path) -> None:
    everything = PacketReader()
    for path in sorted((shared_alerts / "ztf" / "packets").iterdir())[:20]:
        whole = everything.read(path.read_bytes())
        assert probabilities(packaged.on_alert(whole)[0]) == probabilities(packaged.on_alert(path.read_bytes())[0])
