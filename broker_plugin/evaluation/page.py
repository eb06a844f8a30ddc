"""Pages of reports, and what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from broker_plugin._version import __version__

PAGE = "index.html"
NUMBERS = "numbers.json"
_CSS_PIXELS_PER_INCH = 80


def css_widths(figures: Mapping[str, Figure]) -> dict[str, int]:
    """By name, how wide each figure is on a page."""
    return {name: round(_CSS_PIXELS_PER_INCH * figure.get_figwidth()) for name, figure in figures.items()}


def rendered(template: str, **given: Any) -> str:
    """A page of this template, which is given the time and the package's version too."""
    environment = Environment(
        loader=PackageLoader("broker_plugin.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return environment.get_template(template).render(**given, made=made, version=__version__)
