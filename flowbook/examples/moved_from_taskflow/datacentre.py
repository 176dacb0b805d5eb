"""What the flows work on: a datacentre that is only pretended, and the report on what they did to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class DiskRefused(Exception):
    """There was no room for a disk just now; there may be the next time."""


class NameTaken(Exception):
    """Somebody else has this name."""


class Datacentre:
    """Holds what was taken and not given back; ``did`` says what was done since the last report.

    It refuses the first two disks of each large host, and the name ``brackwater``.
    """

    def __init__(self) -> None:
        self.did: list[str] = []
        self._held: set[str] = set()
        self._asked: Counter[str] = Counter()

    @property
    def held(self) -> list[str]:
        """What is in use."""
        return sorted(self._held)

    def reserve_host(self, world: str, players: int) -> str:
        """Return the name of a host that is large enough."""
        return self._take(f"{world}-{'large' if players > 50 else 'small'}")

    def carve_disk(self, host: str, size_gb: int) -> str:
        """Return the name of a new disk. Raises DiskRefused."""
        self._asked[host] += 1
        if host.endswith("large") and self._asked[host] <= 2:
            self.did.append("was refused a disk")
            raise DiskRefused(f"no room for {size_gb} GB on {host}")
        return self._take(f"{host}-disk-{size_gb}")

    def register_name(self, world: str) -> tuple[str, str]:
        """Return the world's address, and the certificate for it. Raises NameTaken."""
        if world == "brackwater":
            raise NameTaken(f"{world} belongs to somebody else")
        return self._take(f"{world}.example"), f"certificate of {world}"

    def open_ports(self, host: str, ports: list[int]) -> str:
        """Return how the opened ports are called."""
        return self._take("-".join([host, "ports", *map(str, ports)]))

    def start(self, host: str, disk: str, certificate: str) -> str:
        """Return how the started world is called."""
        return self._take(f"world with {disk} and {certificate}")

    def give_back(self, what: str) -> None:
        """Forget what was taken; given back twice, it is the same."""
        self._held.discard(what)
        self.did.append(f"gave back {what}")

    def _take(self, what: str) -> str:
        self._held.add(what)
        self.did.append(f"took {what}")
        return what


CENTRE = Datacentre()
"""The one that there is."""


def report(world: str, outcome: str, states: Mapping[str, str]) -> None:
    """Print what has become of a world and its atoms, what was done since the last report, and what is in use."""
    print(f"{world}: {outcome}")
    for state in sorted(set(states.values())):
        print(f"  {state}:", ", ".join(sorted(name for name in states if states[name] == state)))
    for what in sorted(CENTRE.did):  # sorted: what may run side by side has no order
        print(f"  {what}")
    print(f"  in use: {len(CENTRE.held)}")
    CENTRE.did.clear()
