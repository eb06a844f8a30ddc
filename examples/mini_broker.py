"""A broker in thirty lines: loads the installed stages with pluggy, and prints a line for each alert of a folder.

    python examples/mini_broker.py [FOLDER]

One plugin that raises ends it; ``broker_plugin.host.Host`` is the host that goes on.
"""

import sys
from pathlib import Path

import pluggy

from broker_plugin.hookspecs import AlertContext, BrokerPluginSpec


def main(folder: Path) -> None:
    manager = pluggy.PluginManager("broker_plugin")
    manager.add_hookspecs(BrokerPluginSpec)
    manager.load_setuptools_entrypoints("broker_plugin")
    manager.hook.broker_plugin_setup(config={})

    paths = sorted(path for path in folder.rglob("*") if path.suffix == ".avro")
    packets = [path.read_bytes() for path in paths]
    results = manager.hook.on_alerts(alerts=packets, context=AlertContext(source=str(folder)))  # one for each plugin
    for path, *records_by_plugin in zip(paths, *results, strict=True):
        records = [record for records in records_by_plugin for record in records]
        said = [
            f"{r.classifier_name}: {r.class_name} {r.class_probability:.2f}"
            if r.status == "ok"
            else f"{r.classifier_name}: {r.status}, {r.detail}"
            for r in records
        ]
        print(path.relative_to(folder), "; ".join(said), sep="  ")
    manager.hook.broker_plugin_teardown()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "packets")
