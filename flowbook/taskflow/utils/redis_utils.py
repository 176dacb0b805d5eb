"""TaskFlow's ``redis_utils``, as far as programs that bring a client of their own call it."""

import re
from typing import Any


def is_server_new_enough(client: Any, min_version: tuple[int, ...], default: bool = False) -> tuple[bool, str]:
    """Say whether the server has this version or a later one, ``default`` when it does not tell; and which it has."""
    version = str(client.info().get("redis_version", ""))
    numbers = tuple(map(int, re.findall(r"\d+", version)))
    return (numbers >= tuple(min_version) if numbers else default), version
