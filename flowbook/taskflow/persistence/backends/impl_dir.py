"""TaskFlow's ``impl_dir``: its names for what keeps logbooks in a directory."""

from flowbook.taskflow.persistence.backends import DirBackend as DirBackend
from flowbook.taskflow.persistence.connection import Connection as Connection
