"""What one process runs: gunicorn with one worker, both listeners, and the service behind them."""
