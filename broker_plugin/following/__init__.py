"""Objects: their detections remembered, and temporal classifiers asked about them."""

from broker_plugin.following.follow import Following
from broker_plugin.following.updates import ReadUpdate, fields_in, read_update

__all__ = ["Following", "ReadUpdate", "fields_in", "read_update"]
