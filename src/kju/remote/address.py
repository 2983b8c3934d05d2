"""Names of screens on the network: ``zenoh:lab/host1/debian``, and zenoh's keys for them. I/O-free.

Under ``kju/NAME`` there are, of a screen of this name:

- ``kju/up/NAME``: a token that lives as long as the screen is served;
- ``kju/to/NAME/VIEWER``: what the sender says to one viewer;
- ``kju/all/NAME/AUDIENCE``: what it says to all of an audience, which is named as viewers are;
- ``kju/from/NAME/VIEWER``: what that viewer says;
- ``kju/viewer/NAME/VIEWER``: a token that lives as long as the viewer does.
"""

from __future__ import annotations

import re

from ..errors import UsageError

SCHEME = "zenoh:"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_VIEWER = re.compile(r"[0-9a-f]{32}")
MOST_PARTS = 8


def parse(address: str) -> str:
    """The name in an address: ``zenoh:lab/host1/debian`` is ``lab/host1/debian``.

    Raises:
        UsageError: It is none.
    """
    if not address.startswith(SCHEME):
        raise UsageError(f"{address!r} is no address on the network: those begin with {SCHEME}")
    return checked(address.removeprefix(SCHEME))


def checked(name: str) -> str:
    """A name, if it is one.

    Raises:
        UsageError: It is none.
    """
    parts = name.split("/")
    if len(parts) > MOST_PARTS or not all(_PART.fullmatch(part) for part in parts):
        raise UsageError(
            f"{name!r} is no name of a screen: it has one to {MOST_PARTS} parts of letters,"
            " digits, _ . and -, with / between them"
        )
    return name


def presence(name: str) -> str:
    """The key of a screen's token; ``**`` is every screen's."""
    return f"kju/up/{name}"


def downward(name: str, viewer: str) -> str:
    """The key of what is said to a viewer."""
    return f"kju/to/{name}/{viewer}"


def to_all(name: str, audience: str) -> str:
    """The key of what is said to an audience; ``*`` is every audience."""
    return f"kju/all/{name}/{audience}"


def audience_of(key: str) -> str:
    """The audience in a key; empty where it is no audience's."""
    return viewer_of(key) if key.startswith("kju/all/") else ""


def upward(name: str, viewer: str) -> str:
    """The key of what a viewer says; ``*`` is every viewer."""
    return f"kju/from/{name}/{viewer}"


def token(name: str, viewer: str) -> str:
    """The key of a viewer's token; ``*`` is every viewer."""
    return f"kju/viewer/{name}/{viewer}"


def viewer_of(key: str) -> str:
    """The viewer in a key; empty where there is none."""
    last = key.rsplit("/", 1)[-1]
    return last if _VIEWER.fullmatch(last) else ""


def name_of(key: str) -> str:
    """The screen's name in the key of its token; empty where it is none."""
    name = key.removeprefix("kju/up/")
    try:
        return checked(name) if name != key else ""
    except UsageError:
        return ""
