"""Packets: from bytes or a dict to an `Alert`, whatever container, schema and survey they come in."""

from broker_plugin.packets.cutouts import Image, Planes, decode_planes, read_stamp
from broker_plugin.packets.files import MissingExtraError, PacketFiles
from broker_plugin.packets.reader import PacketReader, identify
from broker_plugin.packets.wire import SchemaRegistry

__all__ = [
    "Image",
    "MissingExtraError",
    "PacketFiles",
    "PacketReader",
    "Planes",
    "SchemaRegistry",
    "decode_planes",
    "identify",
    "read_stamp",
]
