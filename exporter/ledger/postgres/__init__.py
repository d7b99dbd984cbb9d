"""What only PostgreSQL needs: the engine, its connections, and appending."""
