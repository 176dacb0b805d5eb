"""TaskFlow's ``engines.worker_based``: importable, but not offered yet."""
