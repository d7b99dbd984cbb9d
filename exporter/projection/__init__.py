"""The projection: turns the events of the ledger into states, and stores checkpoints and baselines of it."""
