"""The command line: one module a verb. It shows views and starts engines, and decides nothing itself."""
