"""Counterparts of alerts in AllWISE: from a local catalogue, from the broker, from the CDS X-Match service."""

from broker_plugin.crossmatch.cds import CdsXMatch
from broker_plugin.crossmatch.counterpart import Counterpart, Crossmatch, Match, NotLookedUp, Position
from broker_plugin.crossmatch.given import match_given
from broker_plugin.crossmatch.hats import CatalogueError, HatsCatalogue
from broker_plugin.crossmatch.rows import ProperMotion
from broker_plugin.crossmatch.sources import Sources

__all__ = [
    "CatalogueError",
    "CdsXMatch",
    "Counterpart",
    "Crossmatch",
    "HatsCatalogue",
    "Match",
    "NotLookedUp",
    "Position",
    "ProperMotion",
    "Sources",
    "match_given",
]
