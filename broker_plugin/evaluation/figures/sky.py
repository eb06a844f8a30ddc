"""Where on the sky the alerts of each class are."""

from __future__ import annotations

import math

import numpy as np
from astropy.coordinates import SkyCoord
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from broker_plugin.evaluation.answers import Answers
from broker_plugin.evaluation.figures.style import GRID, class_colour, new_figure

_COLUMNS = 2
_PLANES = {"ecliptic": ("barycentricmeanecliptic", "#e69f00", "-"), "Galactic plane": ("galactic", "#444444", "--")}


def sky_figure(answers: Answers) -> Figure:
    """Equatorial maps, east to the left, of what was said to be of each class: Fig. 8 of Carrasco-Davis et al. 2021.

    Mollweide's projection, which keeps areas.
    """
    identities = [alert.identity for alert in answers.examples.alerts]
    ra_deg = np.array([i.ra_deg for i in identities], dtype=np.float64)
    dec_deg = np.array([i.dec_deg for i in identities], dtype=np.float64)
    rows = math.ceil(len(answers.classes) / _COLUMNS)
    figure = new_figure(12.0, 3.5 * rows)
    for number, name in enumerate(answers.classes):
        axes = figure.add_subplot(rows, _COLUMNS, number + 1, projection="mollweide")
        said = answers.said == number
        for right, marker, label in ((True, "o", "right"), (False, "x", "wrong")):
            chosen = said & (answers.right == right)
            x, y = _projected(ra_deg[chosen], dec_deg[chosen])
            axes.scatter(
                x,
                y,
                s=18 if right else 30,
                marker=marker,
                color=class_colour(number) if right else "black",
                alpha=0.75,
                linewidths=0.0 if right else 1.1,
                label=f"{label} ({int(chosen.sum())})",
                zorder=3,
            )
        _draw_planes(axes)
        axes.set_title(f"said to be {name}: {int(said.sum())}", fontsize=12)
        axes.grid(visible=True, color=GRID)
        axes.set_xticks(np.radians([-120, -60, 0, 60, 120]), ["8h", "4h", "0h", "20h", "16h"], fontsize=9)
        axes.set_yticks(np.radians([-60, -30, 0, 30, 60]))
        axes.tick_params(axis="y", labelsize=9)
        axes.legend(loc="upper right", bbox_to_anchor=(1.02, 1.1), fontsize=9, frameon=False, handletextpad=0.2)
    _key(figure, rows, len(answers.classes))
    return figure


def _projected(
    ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radians of the map, whose middle is 0 h and whose east is left."""
    return -np.radians((ra_deg + 180.0) % 360.0 - 180.0), np.radians(dec_deg)


def _draw_planes(axes: Axes) -> None:
    for frame, colour, style in _PLANES.values():
        line = SkyCoord(np.linspace(0.0, 360.0, 721), np.zeros(721), unit="deg", frame=frame).icrs
        x, y = _projected(line.ra.deg, line.dec.deg)
        x[1:][np.abs(np.diff(x)) > np.pi] = np.nan  # not across the map where it leaves one side
        axes.plot(x, y, color=colour, linestyle=style, linewidth=1.2, zorder=2)


def _key(figure: Figure, rows: int, panels: int) -> None:
    """The lines' names, in the last free place or below."""
    axes = figure.add_subplot(rows, _COLUMNS, panels + 1) if panels < rows * _COLUMNS else figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for name, (_, colour, style) in _PLANES.items():
        axes.plot([], [], color=colour, linestyle=style, label=name)
    axes.legend(loc="center" if panels < rows * _COLUMNS else "lower center", fontsize=11, frameon=False)
