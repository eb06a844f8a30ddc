"""The figure of how long answers take."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from broker_plugin.evaluation.figures.style import MAIN, new_figure, plain
from broker_plugin.evaluation.timing import BatchTime

_TICKS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)


def timing_figure(times: Sequence[BatchTime], of: str = "alert") -> Figure:
    """Microseconds for each against the size of a batch: Table D1 of Carrasco-Davis et al. 2021, drawn."""
    figure = new_figure(6.0, 3.4)
    axes = figure.add_subplot()
    batches, cost = [one.batch for one in times], [one.microseconds_per_alert for one in times]
    axes.loglog(batches, cost, "o-", color=MAIN)
    for batch, microseconds in zip(batches, cost, strict=True):
        axes.annotate(
            f"{microseconds:,.0f}", (batch, microseconds), xytext=(0, 7), textcoords="offset points", ha="center"
        )
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.set_yticks([tick for tick in _TICKS if min(cost) / 1.5 < tick < 1.5 * max(cost)])
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.minorticks_off()
    axes.margins(x=0.08, y=0.2)
    axes.set_xlabel(f"{of}s in a batch", fontsize=11)
    axes.set_ylabel(f"microseconds per {of}", fontsize=11)
    plain(axes, grid="both")
    return figure
