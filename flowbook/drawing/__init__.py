"""Pictures of graphs as text, Mermaid, Graphviz or SVG; without other programs, and without knowing what a flow is."""

from flowbook.drawing.dot import dot
from flowbook.drawing.folding import ATOMS_SHOWN, fold, fold_to
from flowbook.drawing.mermaid import mermaid
from flowbook.drawing.model import Box, Edge, Graph, Kind, Node
from flowbook.drawing.svg import svg, svg_of_text
from flowbook.drawing.text import text

__all__ = [
    "ATOMS_SHOWN",
    "Box",
    "Edge",
    "Graph",
    "Kind",
    "Node",
    "dot",
    "fold",
    "fold_to",
    "mermaid",
    "svg",
    "svg_of_text",
    "text",
]
