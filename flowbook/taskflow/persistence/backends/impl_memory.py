"""TaskFlow's ``impl_memory``: its names for what keeps logbooks in memory."""

from flowbook.taskflow.persistence.backends import MemoryBackend as MemoryBackend
from flowbook.taskflow.persistence.connection import Connection as Connection
