"""TaskFlow's ``impl_zookeeper``: its name for what cannot keep logbooks yet."""

from flowbook.taskflow.persistence.backends import ZkBackend as ZkBackend
