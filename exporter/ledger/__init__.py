"""The store of events, to which events are only added.

The contracts are here, and what every store needs; `sql` keeps them in a database, and `sqlite` and `postgres`
hold what only one of the two databases needs. `migrations` makes the tables.
"""
