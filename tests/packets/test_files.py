"""Files, folders and archives: each packet in them is accounted for."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from broker_plugin.alert import Alert, Reason, Rejected
from broker_plugin.packets import PacketFiles, PacketReader

from . import samples

ZTF = samples.payloads("ztf")
RUBIN = samples.payloads("rubin")


def records(n: int = 5) -> list[dict]:
    return [next(fastavro.reader(io.BytesIO(packet))) for packet in ZTF[:n]]


def ids(results) -> list[int | None]:
    return [result.identity.alert_id for result in results]


ZTF_IDS = [record["candid"] for record in records(10)]


def read(*paths: Path) -> list[Alert | Rejected]:
    files = PacketFiles(paths, PacketReader())
    results = list(files)
    assert files.done_bytes == files.total_bytes == sum(path.stat().st_size for path in files._files)
    return results


def tar_of(packets, mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for index, packet in enumerate(packets):
            member = tarfile.TarInfo(f"night/{index:03}.avro")
            member.size = len(packet)
            archive.addfile(member, io.BytesIO(packet))
    return stream.getvalue()


def test_single_packet(tmp_path):
    path = tmp_path / "one.avro"
    path.write_bytes(ZTF[0])
    (alert,) = read(path)
    assert alert.identity.alert_id == ZTF_IDS[0] and alert.identity.source == str(path)


def test_file_named_by_itself_is_read_whatever_its_name(tmp_path):
    path = tmp_path / "packet.bin"
    path.write_bytes(RUBIN[0])
    assert isinstance(read(path)[0], Alert)


def test_folder_is_read_to_the_bottom_in_order_of_names(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    for name, packet in (("b/c/2.avro", ZTF[1]), ("a.avro", ZTF[0]), ("d.avro", ZTF[2])):
        (tmp_path / name).write_bytes(packet)
    assert ids(read(tmp_path)) == ZTF_IDS[:3]


def test_other_files_of_a_folder_are_passed_over_and_named(tmp_path):
    (tmp_path / "a.avro").write_bytes(ZTF[0])
    (tmp_path / "truth.csv").write_text("x")
    files = PacketFiles([tmp_path], PacketReader())
    assert files.passed_over == [tmp_path / "truth.csv"] and len(list(files)) == 1


def test_path_that_does_not_exist_is_an_error_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        PacketFiles([tmp_path / "nothing"], PacketReader())


def test_file_that_goes_away_is_rejected_and_the_next_is_read(tmp_path):
    for name, packet in (("a.avro", ZTF[0]), ("b.avro", ZTF[1])):
        (tmp_path / name).write_bytes(packet)
    files = PacketFiles([tmp_path], PacketReader())
    (tmp_path / "a.avro").unlink()
    first, second = files
    assert first.reason is Reason.UNREADABLE and second.identity.alert_id == ZTF_IDS[1]
    assert files.done_bytes == files.total_bytes


def test_empty_file_is_an_empty_packet(tmp_path):
    (tmp_path / "a.avro").touch()
    (result,) = read(tmp_path)
    assert result.reason is Reason.EMPTY_PACKET and result.identity.source.endswith("a.avro")


@pytest.mark.parametrize("codec", ["null", "deflate"])
@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_container_of_many(tmp_path, codec, wrap):
    path = tmp_path / "many.avro"
    path.write_bytes(wrap(samples.container(samples.ztf_schema(), records(), codec)))
    assert ids(read(path)) == ZTF_IDS[:5]


def test_gzipped_file_of_several_members_is_one_file(tmp_path):
    data = samples.container(samples.ztf_schema(), records())
    path = tmp_path / "many.avro.gz"
    path.write_bytes(gzip.compress(data[:3000]) + gzip.compress(data[3000:]))
    assert ids(read(path)) == ZTF_IDS[:5]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tar_of_packets(tmp_path, mode):
    path = tmp_path / "night.tar"
    path.write_bytes(tar_of(ZTF[:5], mode))
    results = read(path)
    assert ids(results) == ZTF_IDS[:5]
    assert results[1].identity.source == f"{path}/night/001.avro"


def test_tar_of_gzipped_packets_and_broken_ones_gives_one_result_each(tmp_path):
    path = tmp_path / "night.tar"
    path.write_bytes(tar_of([gzip.compress(ZTF[0]), b"", b"garbage", gzip.compress(ZTF[1])[:-9], RUBIN[0]]))
    results = read(path)
    assert [type(result) for result in results] == [Alert, Rejected, Rejected, Rejected, Alert]
    assert results[1].reason is Reason.EMPTY_PACKET


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tar_that_breaks_off_gives_what_was_before_and_one_rejection(tmp_path, mode):
    data = tar_of(ZTF[:5], mode)
    path = tmp_path / "night.tar"
    path.write_bytes(data[: len(data) * 3 // 4])
    results = read(path)
    assert all(isinstance(result, Alert) for result in results[:-1]) and len(results) > 2
    assert isinstance(results[-1], Rejected) and results[-1].reason is Reason.UNREADABLE


def test_gzipped_tar_with_flipped_bytes_is_accounted_for(tmp_path):
    data = bytearray(tar_of(ZTF[:3], "w:gz"))
    (tmp_path / "z.avro").write_bytes(ZTF[0])
    for at in range(600, len(data), len(data) // 20):
        broken = bytearray(data)
        broken[at : at + 40] = bytes(40)
        (tmp_path / "a.tgz").write_bytes(broken)
        results = read(tmp_path)
        assert isinstance(results[-1], Alert) and len(results) >= 2


def test_container_that_breaks_in_the_middle_gives_what_was_before_and_one_rejection(tmp_path):
    data = samples.container(samples.ztf_schema(), records(), sync_interval=1)
    path = tmp_path / "many.avro"
    path.write_bytes(data[: len(data) * 7 // 10])
    results = read(path)
    kept = len(results) - 1
    assert 0 < kept < 5 and ids(results[:kept]) == ZTF_IDS[:kept]
    assert results[-1].reason is Reason.UNREADABLE and results[-1].identity.source == f"{path}#{kept}"


@pytest.mark.parametrize("content", [b"x", b"Obj\x01", b"\x1f\x8b", b"PAR1", b"PAR1" + bytes(100), b"\0" * 600])
def test_garbage_file_is_one_rejection(tmp_path, content):
    (tmp_path / "a.avro").write_bytes(content)
    (tmp_path / "b.avro").write_bytes(ZTF[0])
    first, second = read(tmp_path)
    assert isinstance(first, Rejected) and first.identity.source and isinstance(second, Alert)


def write_parquet(path: Path, rows: list[dict]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)


def test_parquet_with_cutouts_in_records(tmp_path):
    write_parquet(tmp_path / "ztf.parquet", records())
    results = read(tmp_path)
    assert ids(results) == ZTF_IDS[:5]
    assert results[0].cutouts == PacketReader().read(ZTF[0]).cutouts
    assert results[0].values == PacketReader().read(ZTF[0]).values


def test_parquet_with_cutouts_as_bytes(tmp_path):
    rows = [samples.rubin_record(diaSourceId=2**60 + i, mpc_orbits=None) for i in range(3)]
    write_parquet(tmp_path / "rubin.parquet", rows)
    results = read(tmp_path)
    assert ids(results) == [2**60, 2**60 + 1, 2**60 + 2]
    assert results[0].cutouts["science"] == rows[0]["cutoutScience"]
    assert [result.identity.source[-2:] for result in results] == ["#0", "#1", "#2"]


def test_parquet_row_without_an_id_leaves_its_neighbours(tmp_path):
    rows = records(3)
    rows[1]["candid"] = rows[1]["candidate"]["candid"] = None
    write_parquet(tmp_path / "a.parquet", rows)
    assert [type(result) for result in read(tmp_path)] == [Alert, Rejected, Alert]


def test_parquet_that_breaks_in_the_middle_is_accounted_for(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, records())
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
    path.write_bytes(data)
    results = read(path)
    assert len(results) >= 1 and isinstance(results[-1], (Alert, Rejected))


def test_broken_parquet_in_a_tar_leaves_the_rest(tmp_path):
    path = tmp_path / "night.tar"
    path.write_bytes(tar_of([b"PAR1" + bytes(300), ZTF[0]]))
    first, second = read(path)
    assert first.reason is Reason.UNREADABLE and second.identity.alert_id == ZTF_IDS[0]


def test_files_are_counted_as_they_are_read(tmp_path):
    for name in ("a.avro", "b.avro"):
        (tmp_path / name).write_bytes(ZTF[0])
    files = PacketFiles([tmp_path], PacketReader())
    done = [files.done_bytes for _ in files]
    assert done == [0, len(ZTF[0])] and files.done_bytes == files.total_bytes == 2 * len(ZTF[0])


def test_examples_are_all_alerts():
    folder = Path(__file__).parents[2] / "examples" / "packets"
    files = PacketFiles([folder], PacketReader())
    assert sum(isinstance(result, Alert) for result in files) == 40
    assert [path.name for path in files.passed_over] == ["allwise.csv", "labels.csv"] * 2


def test_rejected_file_has_the_digest_of_its_bytes(tmp_path):
    contents = [b"garbage", gzip.compress(b"garbage"), gzip.compress(bytes(1000))[:-9], ZTF[0][:-1]]
    contents.append(gzip.compress(ZTF[0][:-1]))
    for index, content in enumerate(contents):
        (tmp_path / f"{index}.avro").write_bytes(content)
    (tmp_path / "night.tar").write_bytes(tar_of(contents))
    assert [result.digest for result in read(tmp_path)] == [hashlib.sha256(data).hexdigest() for data in contents] * 2


def test_rejected_row_of_parquet_is_told_by_its_number(tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, [{"number": 1}, {"number": 1}])
    results = read(path)
    assert [(result.identity.source, result.digest) for result in results] == [(f"{path}#0", None), (f"{path}#1", None)]
