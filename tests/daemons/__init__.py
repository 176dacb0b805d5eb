"""Real servers for tests: each on loopback, on a free port, from a private folder, and stopped by its own pid."""
