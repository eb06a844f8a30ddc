"""Synthetic alerts in the format of the Zwicky Transient Facility."""

from broker_plugin.simulation.ztf.exposure import CADENCE, DEC_RANGE_DEG, draw_exposure
from broker_plugin.simulation.ztf.packets import PacketWriter
from broker_plugin.simulation.ztf.schema import schema

__all__ = ["CADENCE", "DEC_RANGE_DEG", "PacketWriter", "draw_exposure", "schema"]
