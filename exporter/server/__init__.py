"""What one process runs: gunicorn, its worker, the two listeners, and the service behind them."""
