"""How the brightness of each class changes: functions of time, drawn once for each object.

A light curve gives the change against the template at a number of days after the object's first alert, in units of a
flux of reference that its target names.  It decides which detections of an object lie above the survey's limit, and
what the later ones of a sequence look like.
"""

from broker_plugin.simulation.light_curves.curve import Change, Days, LightCurve, Steady
from broker_plugin.simulation.light_curves.nuclei import RandomWalk, draw_random_walk
from broker_plugin.simulation.light_curves.stars import (
    Flares,
    Outbursts,
    Periodic,
    draw_eruptive,
    draw_flares,
    draw_outbursts,
    draw_periodic,
)
from broker_plugin.simulation.light_curves.supernovae import SUPERNOVA_TYPES, Explosion, draw_explosion

__all__ = [
    "SUPERNOVA_TYPES",
    "Change",
    "Days",
    "Explosion",
    "Flares",
    "LightCurve",
    "Outbursts",
    "Periodic",
    "RandomWalk",
    "Steady",
    "draw_eruptive",
    "draw_explosion",
    "draw_flares",
    "draw_outbursts",
    "draw_periodic",
    "draw_random_walk",
]
