"""The figure of one alert: its stamps, and what each classifier says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, FuncNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from broker_plugin.alert import AlertError
from broker_plugin.cli.drawing import NO_DATA
from broker_plugin.cli.fields import shown
from broker_plugin.cli.inspection import FLUX_UNIT, PIXEL_ARCSEC, Inspection
from broker_plugin.cli.terminal import printable
from broker_plugin.evaluation.stretch import SIGNED, stretch_of

if TYPE_CHECKING:
    from broker_plugin.packets import Image
    from broker_plugin.records.record import ClassificationRecord

_WIDTH_INCHES = 12.0
_STAMPS_INCHES = 4.6
_BARS_INCHES = 2.5
_TITLE_INCHES = 0.6
_DPI = 130
_CHARTS_IN_A_ROW = 3
_TICKS_AT = np.linspace(0.06, 0.94, 5)  # of the colour bar
_BOX_COLOURS = ("white", "#ffb000", "#ff6db6")
_OUTLINE = [withStroke(linewidth=2.5, foreground="black")]  # white is then seen on any sky
_OTHER, _HIGHEST = "#b8c4d0", "#1f6f8b"


def write_figure(seen: Inspection, path: Path) -> None:
    """Draw an alert that could be read, and write it as PNG.

    Raises
    ------
    OSError
        The file can't be written.
    """
    records = list(seen.records or ())
    chart_rows = math.ceil(len(records) / _CHARTS_IN_A_ROW)
    height = _TITLE_INCHES + _STAMPS_INCHES + _BARS_INCHES * chart_rows
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, layout=layout)
    FigureCanvasAgg(figure)
    heights = [_TITLE_INCHES, _STAMPS_INCHES] + [_BARS_INCHES] * chart_rows
    parts = figure.subfigures(2 + chart_rows, 1, height_ratios=heights, squeeze=False)[:, 0]
    parts[0].text(0.5, 0.5, _title(seen), ha="center", va="center", fontsize=12, linespacing=1.4)
    for axes, (name, stamp) in zip(parts[1].subplots(1, len(seen.stamps)), seen.stamps.items(), strict=True):
        _draw_stamp(axes, name, stamp, seen)
    for row in range(chart_rows):
        shown_here = records[row * _CHARTS_IN_A_ROW : (row + 1) * _CHARTS_IN_A_ROW]
        charts = parts[2 + row].subplots(1, min(len(records), _CHARTS_IN_A_ROW), squeeze=False)[0]
        for axes, record in zip(charts, shown_here, strict=False):
            _draw_chart(axes, record)
        for axes in charts[len(shown_here) :]:
            axes.set_axis_off()
    figure.savefig(path, format="png")


def _title(seen: Inspection) -> str:
    identity = seen.packet.identity
    who = f"{(identity.survey or '').upper() if identity.survey == 'ztf' else 'Rubin'} alert {identity.alert_id}"
    if identity.object_id is not None:
        who += f"   object {identity.object_id}"
    where = f"RA {identity.ra_deg:.5f}, Dec {identity.dec_deg:+.5f} deg"
    when = f"MJD {identity.mjd:.4f} {(identity.mjd_scale or '').upper()}"
    return _plain(f"{who}\n{where}   {when}   band {shown(identity.band)}")


def _plain(text: str) -> str:
    """Text from a packet, which must not be read as a formula."""
    return "\n".join(printable(line) for line in text.split("\n")).replace("$", r"\$")


def _draw_stamp(axes: Axes, name: str, stamp: Image | AlertError, seen: Inspection) -> None:
    axes.set_title(name, fontsize=12, fontweight="bold")
    axes.set_xticks([])
    axes.set_yticks([])
    if isinstance(stamp, AlertError):
        axes.text(0.5, 0.5, _plain(stamp.detail), ha="center", va="center", wrap=True, transform=axes.transAxes)
        axes.set_aspect("equal")
        return
    survey = seen.packet.identity.survey or ""
    stretch = stretch_of(stamp.pixels, name)
    norm = Normalize() if stretch is None else FuncNorm((stretch, stretch.inverse), stretch.low, stretch.high)
    drawn = axes.imshow(stamp.pixels, origin="lower", cmap=_colour_map(name), norm=norm, interpolation="nearest")
    bar = axes.figure.colorbar(drawn, ax=axes, location="bottom", fraction=0.05, pad=0.02, aspect=30)
    bar.ax.tick_params(labelsize=9)
    bar.set_label(FLUX_UNIT[survey], fontsize=9)
    if stretch is not None:
        # The stretch is far from linear: evenly spaced on the bar, not in flux.
        ticks = np.unique([_rounded(v, stretch.high - stretch.low) for v in stretch.inverse(_TICKS_AT)])
        bar.set_ticks(list(ticks), labels=[f"{tick:g}" for tick in ticks])
    bar.ax.minorticks_off()
    _draw_boxes(axes, stamp, seen)
    _draw_scale(axes, stamp.pixels.shape, PIXEL_ARCSEC[survey])
    if seen.planes is not None and seen.planes.north_deg is not None:
        _draw_compass(axes, seen.planes.north_deg)


def _colour_map(name: str) -> Colormap:
    chosen = colormaps["RdBu_r" if name == SIGNED else "viridis"]
    red, green, blue = (channel / 255.0 for channel in NO_DATA)
    return chosen.with_extremes(bad=(red, green, blue))


def _rounded(value: float, span: float) -> float:
    """Two digits of the value; zero where it is next to nothing of the span."""
    return 0.0 if abs(value) < 1e-4 * span else float(f"{value:.2g}")


def _draw_boxes(axes: Axes, stamp: Image, seen: Inspection) -> None:
    """The part that each classifier sees, with its name; those that see the same share a box."""
    names: dict[int, list[str]] = {}
    for bundle in seen.bundles:
        names.setdefault(bundle.manifest.stamps.size, []).append(bundle.manifest.name)
    row, column = stamp.centre
    for number, size in enumerate(sorted(names)):
        x, y = column - size // 2 - 0.5, row - size // 2 - 0.5
        colour = _BOX_COLOURS[number % len(_BOX_COLOURS)]
        box = Rectangle((x, y), size, size, fill=False, edgecolor=colour, linewidth=1.2, path_effects=_OUTLINE)
        axes.add_patch(box)
        label = f"seen by {', '.join(names[size])}"
        top = y + size + 0.01 * stamp.pixels.shape[0]
        axes.text(x, top, label, color=colour, fontsize=9, va="bottom", path_effects=_OUTLINE, clip_on=True)


def _draw_scale(axes: Axes, shape: tuple[int, ...], pixel_arcsec: float) -> None:
    """A bar of a round number of arcseconds, about a quarter of the stamp long, below the image's lower left."""
    wanted = 0.25 * shape[1] * pixel_arcsec
    length = max((step for step in (0.5, 1, 2, 5, 10, 20) if step <= wanted), default=0.5)
    x, y = 0.05 * shape[1], 0.06 * shape[0]
    ends = [x, x + length / pixel_arcsec]
    axes.plot(ends, [y, y], color="white", linewidth=2.0, path_effects=[withStroke(linewidth=4.0, foreground="black")])
    axes.text(x, y + 0.02 * shape[0], f'{length:g}"', color="white", fontsize=10, va="bottom", path_effects=_OUTLINE)


def _draw_compass(axes: Axes, north_deg: float) -> None:
    """Arrows to north and east; on the sky, east is a quarter turn counter-clockwise from north."""
    x, y, reach = 0.86, 0.14, 0.10
    for label, angle_deg in (("N", north_deg), ("E", north_deg + 90.0)):
        angle = math.radians(angle_deg)
        dx, dy = -reach * math.sin(angle), reach * math.cos(angle)
        arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": "white", "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
        arrow["path_effects"] = [withStroke(linewidth=3.0, foreground="black")]
        axes.annotate("", xy=(x + dx, y + dy), xytext=(x, y), xycoords="axes fraction", arrowprops=arrow)
        where: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center", "fontsize": 10}
        axes.text(x + 1.5 * dx, y + 1.5 * dy, label, color="white", path_effects=_OUTLINE, **where)


def _draw_chart(axes: Axes, record: ClassificationRecord) -> None:
    novelty = "" if record.novelty is None else f", novelty {record.novelty:.2f}"
    axes.set_title(f"{record.classifier_name} {record.classifier_version}{novelty}", fontsize=11)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if not record.classifications:
        axes.set_axis_off()
        text = f"{record.status}: {record.reason}\n{record.detail}"
        axes.text(0.5, 0.5, _plain(text), ha="center", va="center", fontsize=11, wrap=True, transform=axes.transAxes)
        return
    names = [item.class_name for item in record.classifications]
    values = [item.probability for item in record.classifications]
    colours = [_HIGHEST if name == record.class_name else _OTHER for name in names]
    bars = axes.barh(names, values, color=colours, height=0.7)
    axes.bar_label(bars, labels=[f"{value:.3f}" for value in values], padding=4, fontsize=10)
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.12)
    axes.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0])
    axes.tick_params(axis="y", labelsize=11, length=0)
    axes.tick_params(axis="x", labelsize=9)
    imputed = record.imputed_features
    axes.set_xlabel("probability" + (f"   ({len(imputed)} features imputed)" if imputed else ""), fontsize=10)
