"""What is remembered of an object: its latest detections, in memory, in an SQLite file or in Redis."""

from broker_plugin.history.detection import ObjectKey, RememberedDetection
from broker_plugin.history.limits import Limits
from broker_plugin.history.opening import held_form, open_store
from broker_plugin.history.store import DamagedObjectError, HistoryError, ObjectStore, Stats

__all__ = [
    "DamagedObjectError",
    "HistoryError",
    "Limits",
    "ObjectKey",
    "ObjectStore",
    "RememberedDetection",
    "Stats",
    "held_form",
    "open_store",
]
