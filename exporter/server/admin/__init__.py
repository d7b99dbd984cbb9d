"""The admin listener: metrics, health, the status page, and the JSON API."""
