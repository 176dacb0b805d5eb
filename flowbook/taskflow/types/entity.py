"""TaskFlow's ``types.entity``: who takes part, for boards that list conductors."""

from typing import Any, NamedTuple


class Entity(NamedTuple):
    """Something of a ``kind``, known by a name that no other of this kind has."""

    kind: str
    name: str
    metadata: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the three by name."""
        return self._asdict()
