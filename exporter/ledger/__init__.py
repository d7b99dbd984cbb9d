"""The append-only store of events.

The modules here are the contracts and what every store needs; `sql` implements the contracts for a database,
`sqlite` and `postgres` have what only one of the two needs, and `migrations` creates the tables.
"""
