"""What a URL of ZooKeeper says: servers, the path of the logbook, deadlines, and how to prove who we are."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from flowbook.exceptions import NotPossible
from flowbook.persistence.options import Options
from flowbook.persistence.zookeeper.names import root_of

VALUE_LIMIT_BYTES: Final = 1024 * 1024
ZNODE_LIMIT_BYTES: Final = 512 * 1024
_LARGEST_ZNODE: Final = 768 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where a logbook lies, and how to get there. ``how`` is what the client is made with."""

    hosts: str
    root: str
    url: str
    timeout_s: float
    session_timeout_s: float
    value_limit_bytes: int
    znode_limit_bytes: int
    sasl_user: str
    how: dict[str, Any] = field(repr=False)


def address_of(options: Options) -> Address:
    """Return what the options of a backend say. Raises NotPossible."""
    _, _, rest = options.address.partition(":")
    hosts, _, path = rest.removeprefix("//").partition("/")
    if not rest.startswith("//") or not hosts:
        todo = "give zookeeper://HOST:2181/PATH, several servers with commas between them"
        raise NotPossible("this names no server", where=options.url, todo=todo)
    if "@" in hosts:
        todo = "give the options sasl_user and sasl_password"
        raise NotPossible("a user does not stand before the servers here", where=options.url, todo=todo)
    for host in hosts.split(","):
        _refuse_no_server(host, options.url)
    user, sasl = _sasl(options)
    znode_limit = options.size("znode_limit_bytes", default=ZNODE_LIMIT_BYTES)
    if znode_limit is None or znode_limit > _LARGEST_ZNODE:
        raise NotPossible(
            f"znode_limit_bytes is over {_LARGEST_ZNODE}: a request of ZooKeeper's has at most 1 MiB", where=options.url
        )
    address = Address(
        hosts,
        root_of(path, options.url),
        options.url,
        options.seconds("timeout_s", default=10.0),
        options.seconds("session_timeout_s", default=10.0),
        options.size("value_limit_bytes", default=VALUE_LIMIT_BYTES) or VALUE_LIMIT_BYTES,
        znode_limit,
        user,
        {**sasl, **_tls(options)},
    )
    options.refuse_others()
    return address


def _refuse_no_server(host: str, url: str) -> None:
    name, colon, port = host.rpartition(":")
    is_server = port.isdecimal() and int(port) < 1 << 16 and bool(name) if colon and not host.endswith("]") else host
    if not is_server or not host.isprintable() or " " in host:
        raise NotPossible(f"{host!r} is no server", where=url, todo="give a host and a port: HOST:2181")


def _sasl(options: Options) -> tuple[str, dict[str, Any]]:
    user = options.text("sasl_user", default="")
    password = options.text("sasl_password", default="")
    file = options.text("sasl_password_file", default="")
    if not user:
        if password or file:
            raise NotPossible("sasl_password needs sasl_user", where=options.url, todo="give the option sasl_user")
        return "", {}
    if find_spec("puresasl") is None:
        raise NotPossible("sasl_user needs a package", where=options.url, todo="pip install 'kazoo[sasl]'")
    if file:
        _refuse_no_file("sasl_password_file", file, options.url)
        password = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    elif password.startswith("${") and password.endswith("}"):
        password = _of_environment(password[2:-1], options.url)
    return user, {"sasl_options": {"mechanism": "DIGEST-MD5", "username": user, "password": password}}


def _of_environment(name: str, url: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        todo = f"set it: export {name}=…"
        raise NotPossible(f"there is no environment variable {name!r}", where=url, todo=todo) from None


def _tls(options: Options) -> dict[str, Any]:
    how: dict[str, Any] = {"use_ssl": options.flag("use_ssl", default=False)}
    check_hostname = options.flag("check_hostname", default=True)
    for name in ("ca", "certfile", "keyfile"):
        file = options.text(name, default="")
        if file:
            if not how["use_ssl"]:
                raise NotPossible(f"{name} needs use_ssl", where=options.url, todo="add use_ssl=true")
            _refuse_no_file(name, file, options.url)
            how[name] = file
    if ("certfile" in how) != ("keyfile" in how):
        raise NotPossible("a certificate has a file and a key", where=options.url, todo="give certfile and keyfile")
    return {**how, "check_hostname": how["use_ssl"] and check_hostname}


def _refuse_no_file(name: str, file: str, url: str) -> None:
    if not os.access(file, os.R_OK) or not os.path.isfile(file):
        raise NotPossible(f"{name} {file!r} is no file that can be read", where=url, todo="see path and permissions")
