"""From states to the text of a scrape, and the metrics of this process itself."""
