"""``python -m broker_plugin.cli`` is ``broker-plugin``."""

from broker_plugin.cli import main

if __name__ == "__main__":
    main(prog_name="broker-plugin")
