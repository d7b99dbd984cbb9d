"""The webhook listener: it accepts events and nothing else."""
