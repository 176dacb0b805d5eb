"""ZooKeeper servers of one's own: a single one, or an ensemble."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

from daemons.process import LOOPBACK, Daemon, free_port, private_folder

TICK_MS = 500

_JARS = Path("/usr/share/java")
_NEEDED = """
slf4j-simple slf4j-api zookeeper zookeeper-jute netty-common netty-buffer netty-codec netty-handler netty-resolver
netty-transport netty-transport-native-epoll netty-transport-native-unix-common snappy-java metrics-core
commons-cli commons-io jackson-core jackson-databind jackson-annotations
"""
_JAVA = ("-Xms32m", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto")


def zookeeper(settings: str = "", java: Sequence[str] = ()) -> Daemon:
    """Return a server that is not started yet; its ``url`` names no path."""
    return _server(free_port(), settings, java)


def ensemble(size: int = 3) -> list[Daemon]:
    """Return servers that are not started yet and belong together; start them all before one can answer."""
    between = [(free_port(), free_port()) for _ in range(size)]
    members = "".join(f"server.{i}={LOOPBACK}:{a}:{b}\n" for i, (a, b) in enumerate(between, 1))
    return [_server(free_port(), members, number=number) for number in range(1, size + 1)]


def _server(port: int, settings: str, java: Sequence[str] = (), number: int = 0) -> Daemon:
    folder = private_folder("zookeeper")
    (folder / "data").mkdir()
    if number:
        (folder / "data" / "myid").write_text(str(number), encoding="ascii")
    (folder / "zoo.cfg").write_text(
        f"dataDir={folder}/data\nclientPort={port}\nclientPortAddress={LOOPBACK}\ntickTime={TICK_MS}\ninitLimit=20\n"
        "syncLimit=10\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\npreAllocSize=64\n"
        f"minSessionTimeout=1000\nmaxSessionTimeout=60000\n{settings}",
        encoding="ascii",
    )
    jars = ":".join(f"{_JARS}/{name}.jar" for name in _NEEDED.split())
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    return Daemon(
        ["java", *_JAVA, "-Djava.net.preferIPv4Stack=true", *java, "-cp", jars, main, str(folder / "zoo.cfg")],
        folder=folder,
        port=port,
        url=f"zookeeper://{LOOPBACK}:{port}/",
        is_ready=lambda: "Mode:" in four_letters(port, "srvr"),
    )


def four_letters(port: int, word: str) -> str:
    """Return the server's answer to one of its four-letter words."""
    with socket.create_connection((LOOPBACK, port), 1) as connection:
        connection.sendall(word.encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer.decode()


def zookeeper_with_users(folder: Path, **passwords: str) -> Daemon:
    """Return a server that takes only these users, by SASL (DIGEST-MD5); ``folder`` is for what it is told of them."""
    users = " ".join(f'user_{name}="{password}"' for name, password in passwords.items())
    login = folder / "jaas"
    login.write_text(
        f"Server {{ org.apache.zookeeper.server.auth.DigestLoginModule required {users}; }};\n", encoding="ascii"
    )
    provider = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
    settings = f"authProvider.1={provider}\nsessionRequireClientSASLAuth=true\n"
    return zookeeper(settings, [f"-Djava.security.auth.login.config={login}"])


def zookeeper_with_tls(folder: Path) -> tuple[Daemon, str]:
    """Return a server and the URL of its TLS port, with ``ca.pem`` and a client's ``client.pem`` in ``folder``."""
    port, authority = free_port(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    client = authority.issue_cert("client")
    client.private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    certificate = authority.issue_cert(LOOPBACK)
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    pkcs8 = key.private_bytes(  # ZooKeeper reads no other form
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(pkcs8 + b"".join(one.bytes() for one in certificate.cert_chain_pems))
    settings = (
        f"secureClientPort={port}\nsecureClientPortAddress={LOOPBACK}\n"
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n"
        f"ssl.keyStore.location={folder}/server.pem\nssl.keyStore.type=PEM\n"
        f"ssl.trustStore.location={folder}/ca.pem\nssl.trustStore.type=PEM\nssl.clientAuth=need\n"
    )
    return zookeeper(settings), f"zookeeper://{LOOPBACK}:{port}/"
