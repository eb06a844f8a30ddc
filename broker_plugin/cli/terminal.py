"""What the commands share in writing to a terminal, or to where a terminal might have been."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PLAIN_WIDTH = 1000
_EIGHTHS = " ▏▎▍▌▋▊▉"


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or standard error."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # Where no terminal says how wide it is, rich takes 80 columns, and breaks paths that somebody greps for.
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PLAIN_WIDTH
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False, width=width)


@contextmanager
def loading_models(*, show: bool) -> Iterator[None]:
    """A sign that work goes on, while TensorFlow starts and models load.

    What TensorFlow's own code writes to file descriptor 2 as it starts is kept back, since it can't be told not to,
    and shown if something fails that nobody thought of; to whoever sets ``TF_CPP_MIN_LOG_LEVEL`` it is always shown.
    """
    from rich.console import Console

    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    sys.stderr.flush()
    with os.fdopen(os.dup(2), "w") as shown, tempfile.TemporaryFile() as kept_back:
        screen = Console(file=shown)
        waiting = screen.status("loading the models") if show and screen.is_terminal else nullcontext()
        os.dup2(kept_back.fileno(), 2)
        try:
            with waiting:
                yield
        except click.ClickException:  # says in one line what is wrong
            raise
        except Exception:
            kept_back.seek(0)
            shown.write(kept_back.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(shown.fileno(), 2)


def can_draw(on: Console) -> bool:
    """Whether block characters and colours arrive: a terminal, with colours, in UTF-8."""
    return on.is_terminal and on.color_system is not None and not on.no_color and not on.options.ascii_only


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table in the house style: a rule under its head, nothing else.

    Parameters
    ----------
    columns
        Heads of the columns.
    right
        Those of them that hold numbers.
    """
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def printable(text: object) -> str:
    """Text from a file, with what could steer a terminal (escapes, direction marks, line ends) shown as escapes."""
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in plain)


def bar(share: float, width: int, *, blocks: bool) -> str:
    """A horizontal bar, ``width`` columns long for a share of 1; ``#`` where there are no block characters."""
    if not blocks:
        return "#" * round(share * width)
    whole, eighths = divmod(round(share * width * 8), 8)
    return "█" * whole + (_EIGHTHS[eighths] if eighths else "")


def plural(count: int, noun: str) -> str:
    """``1 packet``, ``2,000 packets``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@contextmanager
def fit_progress(
    screen: Console, what: str = "", unit: str = "iterations"
) -> Iterator[Callable[[int, int, str], None]]:
    """A bar for a fit, with a line of how it goes; without a terminal, a line for each tenth of the work."""
    if not screen.is_terminal:
        shown = -1

        def tell(done: int, total: int, text: str) -> None:
            nonlocal shown
            if (tenth := 10 * done // total) > shown:
                shown = tenth
                click.echo(f"{what}{done:,} of {total:,} {unit}: {text}", err=True)

        yield tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(f"{what}reading packets", total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=f"{what}{text}")
