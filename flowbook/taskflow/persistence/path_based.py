"""TaskFlow's ``persistence.path_based``: its names for backends, which have no paths of their own here."""

from flowbook.taskflow.persistence.connection import AdaptedBackend as PathBasedBackend
from flowbook.taskflow.persistence.connection import Connection as PathBasedConnection

__all__ = ["PathBasedBackend", "PathBasedConnection"]
