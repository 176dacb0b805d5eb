"""TaskFlow's ``jobs.backends.impl_zookeeper``: importable, but there are no job boards yet."""

from flowbook.taskflow.jobs.backends import fetch


class ZookeeperJobBoard:
    """Will keep jobs in zookeeper, of this version or a newer one; until then making one raises NotImplementedError."""

    MIN_ZK_VERSION = (3, 4, 0)
    __init__ = fetch
