"""Objects: their detections remembered, and temporal classifiers asked about them."""

from broker_plugin.following.follow import Following
from broker_plugin.following.past import course, open_filled
from broker_plugin.following.updates import ReadUpdate, fields_in, read_update

__all__ = ["Following", "ReadUpdate", "course", "fields_in", "open_filled", "read_update"]
