"""TaskFlow's ``jobs``: importable, but not offered yet."""
