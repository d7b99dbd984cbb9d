"""Prometheus exporter that knows when a scheduled CleverTap data export is overdue."""

from importlib.metadata import version

__version__ = version("dataexport-exporter")
