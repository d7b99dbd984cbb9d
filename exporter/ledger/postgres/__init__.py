"""What only PostgreSQL needs: the engine and its connections, and how events are appended."""
