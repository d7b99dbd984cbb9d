"""The commands, by what they are for; `exporter.cli` gathers them."""
