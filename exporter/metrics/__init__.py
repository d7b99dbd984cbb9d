"""Renders states as the text of a scrape, and has the metrics of the process itself."""
