"""TaskFlow's ``kazoo_utils``: clients of ZooKeeper, made from configuration; kazoo is imported when one is made."""

import logging
from collections.abc import Mapping
from configparser import ConfigParser
from importlib import import_module
from typing import Any

_FLAGS = {"read_only": False, "randomize_hosts": False, "use_ssl": False, "verify_certs": True}
_AS_GIVEN = ("keyfile", "keyfile_password", "certfile", "ca", "command_retry", "connection_retry", "handler")


def make_client(conf: Mapping[str, Any]) -> Any:  # kazoo ships no types
    """Return a `KazooClient`, not started; ``hosts`` of ``conf`` is text, a list or a dict of ports by host."""
    hosts = conf.get("hosts", "localhost:2181")
    if isinstance(hosts, Mapping):
        hosts = [f"{host}:{port}" for host, port in hosts.items()]
    options = {name: conf[name] for name in _AS_GIVEN if name in conf}
    if "timeout" in conf:
        options["timeout"] = float(conf["timeout"])
    for name, default in _FLAGS.items():
        options[name] = ConfigParser.BOOLEAN_STATES.get(str(conf.get(name)).strip().lower(), default)
    hosts = hosts.strip() if isinstance(hosts, str) else ",".join(hosts)
    return import_module("kazoo.client").KazooClient(hosts=hosts, logger=logging.getLogger(__name__), **options)


def finalize_client(client: Any) -> None:
    """Stop and close a client, started or not."""
    client.stop()
    client.close()
