"""The ledger's contracts in SQL, for SQLite and PostgreSQL, and the lookups of each."""
