"""TaskFlow's patterns: a module each, with a class called ``Flow``."""
