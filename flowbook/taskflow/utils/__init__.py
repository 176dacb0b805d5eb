"""TaskFlow's ``utils``, as far as its users call them."""
