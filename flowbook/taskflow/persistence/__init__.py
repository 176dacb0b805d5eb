"""TaskFlow's ``persistence``: what is kept of logbooks, flows and atoms, and where."""
