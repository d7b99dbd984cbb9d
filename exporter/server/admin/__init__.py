"""The admin listener: metrics, health, reload, the status page and the JSON API."""
