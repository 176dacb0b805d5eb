"""Flows as a user would write them: to read, to run, and to begin one's own from."""
