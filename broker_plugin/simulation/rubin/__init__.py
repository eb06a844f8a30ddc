"""Synthetic alerts in the format of the Vera C. Rubin Observatory."""

from broker_plugin.simulation.rubin.exposure import CADENCE, DEC_RANGE_DEG, draw_exposure
from broker_plugin.simulation.rubin.packets import PacketWriter

__all__ = ["CADENCE", "DEC_RANGE_DEG", "PacketWriter", "draw_exposure"]
