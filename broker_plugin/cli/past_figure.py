"""The figure of one object: its light curve, what was said of it as it became known, and its stamps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from broker_plugin.cli.past import Past, Sighting
from broker_plugin.cli.terminal import plural, printable
from broker_plugin.evaluation.figures.stamps import draw_stamp
from broker_plugin.evaluation.figures.style import class_colour, literal, new_figure, plain
from broker_plugin.evaluation.stretch import SIGNED
from broker_plugin.records.record import ClassificationRecord

_WIDTH_INCHES = 12.0
_TITLE_INCHES = 0.6
_LIGHT_CURVE_INCHES = 3.2
_COURSE_INCHES = 2.6
_STAMP_COLUMNS = 8
_STAMP_INCHES = 1.45
_STAMP_TITLE_INCHES = 0.6
# Colours of the bands on a white ground, as Rubin first set them: rtn-045.lsst.io, "Colorblind-Friendly Plots".
_BAND_COLOURS = {"u": "#0c71ff", "g": "#49be61", "r": "#c61c00", "i": "#ffc200", "z": "#f341a2", "y": "#5d0000"}
_OTHER_BAND = "#555555"
_CROWDED = 0.04
"""Numbers along an axis that are closer than this share of it would be written over each other."""


def past_figure(past: Past) -> Figure:
    """Light curve, probabilities against the same time, and the stamps of the latest detections."""
    courses = {label: records for label, records in (past.courses or {}).items() if records}
    shown = range(len(past.sightings))[-_STAMP_COLUMNS:]
    curves_inches = _LIGHT_CURVE_INCHES + _COURSE_INCHES * len(courses)
    stamps_inches = _STAMP_TITLE_INCHES + _STAMP_INCHES * len(past.channels)
    figure = new_figure(_WIDTH_INCHES, _TITLE_INCHES + curves_inches + stamps_inches)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.07)
    figure.suptitle(literal(_title(past)), fontsize=13)
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(curves_inches, stamps_inches))[:, 0]
    heights = [_LIGHT_CURVE_INCHES] + [_COURSE_INCHES] * len(courses)
    panels = upper.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    _draw_light_curve(panels[0], past)
    for axes, (label, records) in zip(panels[1:], courses.items(), strict=True):
        _draw_course(axes, label, records, past.sightings)
    panels[-1].set_xlabel(f"MJD ({past.mjd_scale.upper()})", fontsize=11)
    panels[-1].ticklabel_format(axis="x", useOffset=False, style="plain")
    _draw_stamps(lower, past, shown)
    return figure


def _title(past: Past) -> str:
    stamped = sum(seen.stamps is not None for seen in past.sightings)
    survey = {"ztf": "ZTF", "rubin": "Rubin"}[past.key.survey]
    detections = f"{plural(len(past.sightings), 'detection')}, {stamped} with stamps"
    return f"{survey} object {printable(past.key.object_id)}   {detections}\n{past.counterpart_text()}".rstrip()


def _draw_light_curve(axes: Axes, past: Past) -> None:
    known = {seen.band or "?" for seen in past.sightings}
    bands = [*filter(known.__contains__, _BAND_COLOURS), *sorted(known - set(_BAND_COLOURS))]
    for seen in past.sightings:
        value, error = (seen.mag, seen.mag_error) if past.in_magnitudes else (seen.flux_njy, seen.flux_error_njy)
        if value is None:
            continue
        colour = _BAND_COLOURS.get(seen.band or "", _OTHER_BAND)
        axes.errorbar(
            seen.mjd,
            value,
            yerr=error,
            marker="o" if seen.from_packet else "s",
            markersize=8,
            color=colour,
            markerfacecolor=colour if seen.is_positive else "white",
            elinewidth=1.2,
        )
    if past.in_magnitudes:
        axes.invert_yaxis()
        axes.set_ylabel("difference, AB magnitude", fontsize=11)
    else:
        axes.axhline(0.0, color="#999999", linewidth=0.8)
        axes.set_ylabel("difference flux, nJy", fontsize=11)
        axes.ticklabel_format(axis="y", useOffset=False, style="plain")
    plain(axes, grid="y")
    marks = [
        Line2D(
            [], [], linestyle="", marker="o", color=_BAND_COLOURS.get(band, _OTHER_BAND), label=literal(printable(band))
        )
        for band in bands
    ]
    if any(seen.is_positive is False for seen in past.sightings):
        marks.append(Line2D([], [], linestyle="", marker="o", color="black", markerfacecolor="white", label="negative"))
    if not all(seen.from_packet for seen in past.sightings):
        marks.append(Line2D([], [], linestyle="", marker="s", color="black", label="from a history"))
    axes.legend(handles=marks, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=10)


def _mark(label: str, **style: Any) -> Line2D:
    """An entry of the legend."""
    return Line2D([], [], label=literal(printable(label)), **{"linestyle": "", "marker": "o", "color": "black"} | style)


def _draw_course(
    axes: Axes, label: str, records: Sequence[ClassificationRecord], sightings: Sequence[Sighting]
) -> None:
    """Probabilities against the time of the newest of the detections that they were made of."""
    before = len(sightings) - len(records)  # detections before anything could be said
    mjd = np.array([seen.mjd for seen in sightings[before:]])
    names = list(dict.fromkeys(item.class_name for record in records for item in record.classifications))
    for number, name in enumerate(names):
        values = [_probability(record, name) for record in records]
        style: dict[str, Any] = {"drawstyle": "steps-post", "marker": "o", "markersize": 6, "linewidth": 1.6}
        axes.plot(mjd, values, color=class_colour(number), label=literal(name), **style)
    axes.set_ylim(-0.04, 1.04)
    axes.set_ylabel("probability", fontsize=11)
    axes.set_title(label, fontsize=11, fontweight="bold", loc="left", pad=20)
    plain(axes, grid="y")
    if names:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=10)
    _mark_numbers(axes, mjd, before + 1)


def _probability(record: ClassificationRecord, class_name: str) -> float:
    return next((item.probability for item in record.classifications if item.class_name == class_name), float("nan"))


def _mark_numbers(axes: Axes, mjd: NDArray[np.float64], known: int) -> None:
    """How many detections were known, ``known`` at the first, above the panel; numbers that would touch are one."""
    low, high = axes.get_xlim()
    groups: list[list[int]] = []
    for index, time in enumerate(mjd):
        if groups and time - np.mean(mjd[groups[-1]]) < _CROWDED * (high - low):
            groups[-1].append(index)
        else:
            groups.append([index])
    for group in groups:
        first, last = group[0] + known, group[-1] + known
        axes.text(
            float(np.mean(mjd[group])),
            1.02,
            str(first) if first == last else f"{first}-{last}",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=9,
            color="#555555",
        )
    axes.text(1.005, 1.02, "detections known", transform=axes.transAxes, va="bottom", fontsize=9, color="#555555")


def _draw_stamps(part: SubFigure, past: Past, shown: Sequence[int]) -> None:
    """A column for each detection, also where it has none."""
    dates = past.dates()
    grid = part.subplots(len(past.channels), _STAMP_COLUMNS, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for column, index in zip(grid.T, shown, strict=False):
        seen = past.sightings[index]
        column[0].set_axis_on()
        column[0].set_title(
            f"{dates[index][:10]}\n{dates[index][11:]}  {literal(printable(seen.band or '?'))}", fontsize=9
        )
        for channel, axes in enumerate(column):
            axes.set_axis_on()
            if seen.stamps is None:
                _leave_gap(axes)
            else:
                name = past.channels[channel]
                draw_stamp(axes, _as_it_came(seen.stamps[..., channel].astype(np.float32), name), name)
    for row, name in zip(grid[:, 0], past.channels, strict=True):
        row.set_ylabel(name, fontsize=10, fontweight="bold")


def _as_it_came(pixels: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """A scaled stamp with its zero where the survey has it, as far as that shows: the sky of a difference."""
    return pixels - np.median(pixels) if name == SIGNED else pixels


def _leave_gap(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1.0)
    axes.spines[:].set_color("#dddddd")
    axes.text(0.5, 0.5, "no stamp", transform=axes.transAxes, ha="center", va="center", fontsize=9, color="#999999")
