"""From events to states, and what makes a start fast: checkpoints, and baselines of pruned events."""
