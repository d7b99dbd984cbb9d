"""The three dashboards, as programs."""
