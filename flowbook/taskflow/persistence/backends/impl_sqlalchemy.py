"""TaskFlow's ``impl_sqlalchemy``: its names for what keeps logbooks in a database."""

from flowbook.taskflow.persistence.backends import SQLAlchemyBackend as SQLAlchemyBackend
from flowbook.taskflow.persistence.connection import Connection as Connection
