"""Names of screens on the network, such as ``zenoh:lab/host1/debian``, and zenoh's keys. I/O-free.

| key | use |
|---|---|
| ``kju/up/NAME`` | token: the screen is served |
| ``kju/to/NAME/VIEWER`` | messages from the sender to one viewer |
| ``kju/all/NAME/AUDIENCE`` | messages from the sender to an audience |
| ``kju/from/NAME/VIEWER`` | messages from the viewer |
| ``kju/viewer/NAME/VIEWER`` | token: the viewer is connected |

VIEWER and AUDIENCE are 32 random hexadecimal digits.
"""

from __future__ import annotations

import re

from ..errors import UsageError

SCHEME = "zenoh:"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_VIEWER = re.compile(r"[0-9a-f]{32}")
MAX_PARTS = 8


def parse(address: str) -> str:
    """Return the name in an address: ``lab/host1/debian`` in ``zenoh:lab/host1/debian``.

    Raises:
        UsageError: The text is not an address.
    """
    if not address.startswith(SCHEME):
        raise UsageError(f"{address!r} is not a network address: it must begin with {SCHEME}")
    return checked(address.removeprefix(SCHEME))


def checked(name: str) -> str:
    """Return a screen's name after checking it.

    Raises:
        UsageError: The text is not a name.
    """
    parts = name.split("/")
    if len(parts) > MAX_PARTS or not all(_PART.fullmatch(part) for part in parts):
        raise UsageError(
            f"{name!r} is not a screen's name: use 1 to {MAX_PARTS} parts of letters, digits,"
            " _ . and -, separated by /"
        )
    return name


def presence(name: str) -> str:
    """Return the key of a screen's token; ``**`` is every screen."""
    return f"kju/up/{name}"


def downward(name: str, viewer: str) -> str:
    """Return the key of messages to a viewer."""
    return f"kju/to/{name}/{viewer}"


def to_all(name: str, audience: str) -> str:
    """Return the key of messages to an audience; ``*`` is every audience."""
    return f"kju/all/{name}/{audience}"


def audience_of(key: str) -> str:
    """Return the audience in a key; empty for other keys."""
    return viewer_of(key) if key.startswith("kju/all/") else ""


def upward(name: str, viewer: str) -> str:
    """Return the key of messages from a viewer; ``*`` is every viewer."""
    return f"kju/from/{name}/{viewer}"


def token(name: str, viewer: str) -> str:
    """Return the key of a viewer's token; ``*`` is every viewer."""
    return f"kju/viewer/{name}/{viewer}"


def viewer_of(key: str) -> str:
    """Return the viewer in a key; empty for other keys."""
    last = key.rsplit("/", 1)[-1]
    return last if _VIEWER.fullmatch(last) else ""


def name_of(key: str) -> str:
    """Return the screen in the key of its token; empty for other keys."""
    name = key.removeprefix("kju/up/")
    try:
        return checked(name) if name != key else ""
    except UsageError:
        return ""
