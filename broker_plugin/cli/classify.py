"""``broker-plugin classify``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from broker_plugin.cli.options import model_options, packet_options, require_registry
from broker_plugin.cli.problems import Failure, UsageProblem, described, is_broken_pipe, require_paths, told_as_usage
from broker_plugin.cli.program import INTERRUPTED
from broker_plugin.cli.terminal import console, loading_models, plural, printable, table

if TYPE_CHECKING:
    from rich.console import Console

    from broker_plugin.packets import PacketFiles
    from broker_plugin.records.record import ClassificationRecord
    from broker_plugin.records.writers import RecordWriter
    from broker_plugin.stage import Stage

SOME_ERRORS = 3
"""Exit status with ``--strict`` where a record has status error."""

_T = TypeVar("_T")
_PASSED_OVER_SHOWN = 3


@click.command(short_help="Classify files, folders and archives of packets.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option(
    "-o", "--out", required=True, metavar="OUT", help="OUT.avro, OUT.jsonl or OUT.parquet; - is JSON lines on stdout."
)
@model_options
@click.option("--batch", type=click.IntRange(min=1), default=128, show_default=True, help="Packets at a time.")
@packet_options
@click.option("--follow", is_flag=True, help="Say of each alert's object too what it is, by all its detections.")
@click.option(
    "--store",
    metavar="ADDRESS",
    help="Where --follow remembers objects: memory:, sqlite:PATH or redis://HOST:PORT/DATABASE.  [default: memory:]",
)
@click.option(
    "--allwise",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="AllWISE catalogue for --follow, made by broker-plugin crossmatch build.",
)
@click.option("--strict", is_flag=True, help="End with status 3 if any record has status error.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary.")
@click.pass_context
def classify(
    context: click.Context,
    /,
    paths: tuple[Path, ...],
    out: str,
    bundles: tuple[str, ...],
    batch: int,
    follow: bool,
    store: str | None,
    allwise: Path | None,
    strict: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Classify packets: files, folders (searched to the bottom) and tar archives.

    Each packet gets one record from each classifier of its survey, also where it can't be read. The summary goes
    to standard error. Ends with 0 where every packet got its records.

    With --follow, temporal classifiers speak too: of each packet's object, as it is known once its batch is read.
    They look at the light curves in the packets, and at what --store remembers of packets read before. Without it,
    temporal bundles are not loaded unless --bundle names them.

    \b
    For example:
      broker-plugin classify examples/packets -o records.jsonl
      broker-plugin classify night.tar.gz -o night.parquet --bundle stamp-ztf --strict
      broker-plugin classify packets/ -o - | jq .class_name
      broker-plugin classify night.tar.gz -o night.avro --follow --store sqlite:objects.db
    """
    require_paths(paths)
    require_registry(options["schema_registry"], options["schema_cache"])
    options |= _following_options(follow, store, allwise)
    writer = _open(out)
    _refuse_no_packets(paths)
    screen = console(stderr=True)
    begun = time.perf_counter()
    stage = context.with_resource(closing(_load(bundles, batch, screen, quiet, options)))
    load_s = time.perf_counter() - begun

    files = _packet_files(paths, stage)
    tally = Tally(stage)
    # A bar and records on one terminal would write over each other.
    show_bar = screen.is_terminal and not quiet and not (out == "-" and console().is_terminal)
    begun = time.perf_counter()
    try:
        with writer, _progress(screen, files, show_bar) as advance:
            _run(stage, files, batch, follow, writer, tally, advance)
            if tally.packets == 0:
                raise UsageProblem(_no_packets(paths, files))
    except KeyboardInterrupt:
        kept = "the records so far are written" if out == "-" else f"{out} is not written"
        screen.print(f"broker-plugin: interrupted after {plural(tally.packets, 'packet')}; {kept}")
        if not quiet:
            tally.show(screen, time.perf_counter() - begun, load_s, files)
        context.exit(INTERRUPTED)
    except OSError as problem:
        if is_broken_pipe(problem):
            raise  # click ends quietly
        done = plural(tally.packets, "packet")
        raise Failure(f"stopped after {done}, {out} is not whole: {described(problem)}") from problem
    if not quiet:
        tally.show(screen, time.perf_counter() - begun, load_s, files)
    if strict and tally.errors:
        context.exit(SOME_ERRORS)


class Tally:
    """Counts of what came of the packets.

    Attributes
    ----------
    packets
        Packets classified so far.
    """

    def __init__(self, stage: Stage) -> None:
        self.packets = 0
        self._outcomes: Counter[tuple[str, str, str]] = Counter()  # classifier, status, reason
        self._first: dict[tuple[str, str, str], str] = {}
        self._class_names = tuple(dict.fromkeys(name for manifest in stage.manifests for name in manifest.classes))
        self._classes: dict[str, Counter[str]] = {
            manifest.label: Counter(dict.fromkeys(manifest.classes, 0)) for manifest in stage.manifests
        }

    @property
    def errors(self) -> int:
        """Records with status error."""
        return sum(count for (_, status, _), count in self._outcomes.items() if status == "error")

    def add(self, records: Iterable[ClassificationRecord]) -> None:
        """Count the records of one packet."""
        self.packets += 1
        for record in records:
            label = f"{record.classifier_name}/{record.classifier_version}"
            outcome = (label, record.status, record.reason or "")
            self._outcomes[outcome] += 1
            if record.class_name is not None:
                self._classes[label][record.class_name] += 1
            elif outcome not in self._first:
                self._first[outcome] = f"{record.source or record.alert_id}: {record.detail}"

    def show(self, screen: Console, seconds: float, load_s: float, files: PacketFiles) -> None:
        """Print the summary."""
        outcomes = table("classifier", "status", "reason", "records", "the first of them", right=["records"])
        for outcome, count in sorted(self._outcomes.items()):
            outcomes.add_row(*map(printable, outcome), f"{count:,}", printable(self._first.get(outcome, "")))
        screen.print(outcomes)
        if any(counts.total() for counts in self._classes.values()):
            classes = table("classifier", *self._class_names, right=self._class_names)
            for label, counts in self._classes.items():
                classes.add_row(label, *(f"{counts[n]:,}" if n in counts else "-" for n in self._class_names))
            screen.print(classes)
        if files.passed_over:
            screen.print(f"{plural(len(files.passed_over), 'file')} passed over: {_names(files.passed_over)}")
        records = plural(self._outcomes.total(), "record")
        rate = f"{self.packets / seconds:,.0f} alerts/s" if self.packets else ""
        screen.print(f"{plural(self.packets, 'packet')}, {records} in {seconds:.1f} s: {rate}".rstrip(": "))
        screen.print(f"(reading, classifying and writing; loading the models took {load_s:.1f} s before that)")


def _open(out: str) -> RecordWriter:
    from broker_plugin.records.writers import open_writer

    # The file is made when it is entered, after the models are loaded: what can be told now is told now.
    if out != "-":
        if Path(out).is_dir():
            raise UsageProblem(f"{out} is a folder: name a file in it, such as {Path(out) / 'records.avro'}")
        if not Path(out).parent.is_dir():
            raise UsageProblem(f"the folder of {out} does not exist: make {Path(out).parent} first")
    try:
        return open_writer(out)
    except (ValueError, ImportError) as problem:
        raise UsageProblem(str(problem)) from problem


def _following_options(follow: bool, store: str | None, allwise: Path | None) -> dict[str, Any]:
    """What `load_stage` has to know to follow objects."""
    if not follow:
        for option, value in (("--store", store), ("--allwise", allwise)):
            if value is not None:
                raise UsageProblem(f"{option} is for following objects: give --follow too")
        return {}
    # No deadline: these packets wait for nobody, and what is said of them should not depend on the day's load.
    return {"history": store or "memory:", "allwise": allwise, "allwise_timeout_s": None}


def _load(bundles: tuple[str, ...], batch: int, screen: Console, quiet: bool, options: dict[str, Any]) -> Stage:
    from broker_plugin.bundles.store import search
    from broker_plugin.stage import load_stage

    with told_as_usage():
        if not bundles:
            found, broken = search(options["weights"])
            for bundle in broken if not quiet else ():
                screen.print(f"broker-plugin: passed over a broken bundle: {printable(bundle.problem)}")
            if not found:
                raise UsageProblem("no bundles found: give --weights DIR, or set BROKER_PLUGIN_WEIGHTS to their folder")
    with loading_models(show=not quiet), told_as_usage():
        return load_stage(bundles or None, max_batch=batch, **options)


def _refuse_no_packets(paths: tuple[Path, ...]) -> None:
    """Refuse folders without packets before the models are loaded, which takes seconds."""
    from broker_plugin.packets import PacketFiles, PacketReader

    files = PacketFiles(paths, PacketReader(fields=(), history=False))
    # Without a byte there is at the most an empty file, which has a record; it is looked at then.
    if files.total_bytes == 0 and next(iter(files), None) is None:
        raise UsageProblem(_no_packets(paths, files))


def _packet_files(paths: tuple[Path, ...], stage: Stage) -> PacketFiles:
    from broker_plugin.packets import PacketFiles

    return PacketFiles(paths, stage.reader)


def _no_packets(paths: tuple[Path, ...], files: PacketFiles) -> str:
    from broker_plugin.packets.files import SUFFIXES

    where = ", ".join(map(str, paths))
    passed = f"; passed over: {_names(files.passed_over)}" if files.passed_over else ""
    return f"no packets found in {where}: of a folder, {', '.join(SUFFIXES)} files are read{passed}"


def _names(files: list[Path]) -> str:
    shown = ", ".join(printable(path.name) for path in files[:_PASSED_OVER_SHOWN])
    return shown if len(files) <= _PASSED_OVER_SHOWN else f"{shown} and {len(files) - _PASSED_OVER_SHOWN:,} more"


def _run(
    stage: Stage,
    files: PacketFiles,
    batch: int,
    follow: bool,
    writer: RecordWriter,
    tally: Tally,
    advance: Callable[[int], None],
) -> None:
    from broker_plugin.packets import MissingExtraError

    try:
        for packets in _batches(files, batch):
            for records in stage.on_alerts(packets, follow=follow):
                writer.write(records)
                tally.add(records)
            advance(tally.packets)
    except MissingExtraError as problem:
        raise UsageProblem(str(problem)) from problem


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


@contextmanager
def _progress(screen: Console, files: PacketFiles, show: bool) -> Iterator[Callable[[int], None]]:
    """A bar by bytes read, and a function that takes the number of packets done."""
    if not show:
        yield lambda packets: None
        return
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        redirect_stdout=False,  # standard output is for records, and a bar on standard error must not take it
        redirect_stderr=False,
    )
    with bar:
        begun = time.perf_counter()
        task = bar.add_task("reading", total=None)

        def advance(packets: int) -> None:
            rate = packets / (time.perf_counter() - begun)
            # Bytes count by whole files: before the first is done there is nothing to show a share of.
            bar.update(
                task,
                description=f"{plural(packets, 'packet')}, {rate:,.0f} alerts/s",
                completed=files.done_bytes,
                total=files.total_bytes if files.done_bytes else None,
            )

        yield advance
