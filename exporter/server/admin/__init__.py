"""The admin listener: metrics, health, reload, and the access to its pages and its JSON API."""
