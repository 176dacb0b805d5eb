"""Suites and fakes for tests: ours, and those of backends and flows that others write."""
