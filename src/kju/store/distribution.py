"""SHELL: the installation command of this distribution."""

from __future__ import annotations

import platform
from collections.abc import Mapping


def install_line(commands: Mapping[str, str], otherwise: str) -> str:
    """Return how to install something here, as the end of a message.

    Args:
        commands: By the distribution's ``ID`` in os-release(5), also of those like it.
        otherwise: The text for other distributions.
    """
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    for name in (release.get("ID", ""), *release.get("ID_LIKE", "").split()):
        if name in commands:
            return f"install it with: {commands[name]}"
    return otherwise
