"""TaskFlow's ``types``: the values that its users meet."""
