"""broker_plugin: a stage that classifies ZTF and Rubin alert packets, for any broker.

::

    stage = broker_plugin.load_stage()
    for records in stage.on_alerts([packet]):
        print(records[0].class_name, records[0].class_probability)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from broker_plugin._version import __version__

if TYPE_CHECKING:
    from broker_plugin.alert import Alert, Detection, Identity, Reason, Rejected, Status
    from broker_plugin.bundles import BundleError, find_bundles
    from broker_plugin.hookspecs import AlertContext, BrokerPluginSpec, ObjectUpdate, StageInfo, hookimpl, hookspec
    from broker_plugin.host import Batcher, Host
    from broker_plugin.models import DeviceError
    from broker_plugin.packets import PacketFiles, PacketReader
    from broker_plugin.records.readers import read_records
    from broker_plugin.records.record import Classification, ClassificationRecord
    from broker_plugin.records.validation import validate_file, validate_record
    from broker_plugin.records.writers import open_writer
    from broker_plugin.stage import Stage, load_stage

# Looked up when first used: importing the package costs next to nothing.
_HOMES = {
    "alert": ("Alert", "Detection", "Identity", "Reason", "Rejected", "Status"),
    "bundles": ("BundleError", "find_bundles"),
    "hookspecs": ("AlertContext", "BrokerPluginSpec", "ObjectUpdate", "StageInfo", "hookimpl", "hookspec"),
    "host": ("Batcher", "Host"),
    "models": ("DeviceError",),
    "packets": ("PacketFiles", "PacketReader"),
    "records.readers": ("read_records",),
    "records.record": ("Classification", "ClassificationRecord"),
    "records.validation": ("validate_file", "validate_record"),
    "records.writers": ("open_writer",),
    "stage": ("Stage", "load_stage"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "__version__",
    *_HOME_OF,
]


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
