"""How Sphinx builds the documentation."""

import importlib.metadata

project = "flowbook"
copyright = "the flowbook developers"
release = importlib.metadata.version("flowbook")

extensions = ["sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
html_theme = "alabaster"
exclude_patterns = ["reference/states/*"]  # drawn by tools/draw_states.py, included by reference/states.rst
