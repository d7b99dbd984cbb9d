"""What only SQLite needs: its file, how events are appended to it, and how it is copied while in use."""
