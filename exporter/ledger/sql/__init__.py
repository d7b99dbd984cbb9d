"""The ledger's contracts, kept in SQL: what SQLite and PostgreSQL have in common, and their look-ups."""
