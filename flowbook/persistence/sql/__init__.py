"""The backends that keep records in a relational database."""
