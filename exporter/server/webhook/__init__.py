"""The public listener: the webhook and nothing else."""
