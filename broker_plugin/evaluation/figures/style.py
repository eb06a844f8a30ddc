"""What the figures share: size, colours, axes without clutter."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe & Ito 2008, "Color Universal Design": told apart by the colour-blind too.
_CLASS_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7f7f7f", "#e69f00", "#56b4e9", "#000000")

MAIN, OTHER, GRID = "#1f6f8b", "#b8c4d0", "#e3e7eb"
DPI = 130
CARD_DPI = 90
"""Of the small figures of a model card."""


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """A figure that fits its labels by itself."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path, dpi: int = DPI) -> None:
    """Write a figure as PNG.

    Raises
    ------
    OSError
        The file can't be written.
    """
    figure.savefig(path, format="png", dpi=dpi)


def class_colour(number: int) -> str:
    """The colour that a class has in every figure."""
    return _CLASS_COLOURS[number % len(_CLASS_COLOURS)]


def plain(axes: Axes, *, grid: str = "") -> None:
    """Take away the upper and right edge; a pale grid along ``x``, ``y`` or ``both``."""
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(visible=True, axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
        axes.set_axisbelow(True)


def literal(text: str) -> str:
    """Text that must not be read as a formula."""
    return text.replace("$", r"\$")
