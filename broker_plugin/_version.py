"""Name and version of the distribution."""

NAME = "broker-plugin"
__version__ = "0.1.0"
