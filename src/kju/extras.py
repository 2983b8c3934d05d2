"""The optional extras of kju, and the commands that install them and other programs.

The names are those of the optional dependencies in pyproject.toml. Messages, `kju doctor` and the
tests use this table.
"""

from __future__ import annotations

import json
import platform
import shlex
import sys
from collections.abc import Mapping
from importlib import util
from pathlib import Path
from typing import NamedTuple

from .errors import MissingError


class Extra(NamedTuple):
    """One extra.

    Attributes:
        name: As in ``tools/setup NAME`` and ``kju[NAME]``.
        enables: The commands and functions that need it, for messages.
        modules: The required modules, each with the name of its package.
        others: Optional modules in the same form. The extra installs them too.
    """

    name: str
    enables: str
    modules: dict[str, str]
    others: dict[str, str]


EXTRAS = {
    extra.name: extra
    for extra in (
        Extra(
            "desktop",
            "windows on machines: kju view, desktop",
            {"PySide6": "PySide6"},
            {"qtawesome": "qtawesome", "av": "PyAV"},
        ),
        Extra(
            "image",
            "waiting for a picture: kju wait --image, screen.wait_image",
            {"cv2": "OpenCV"},
            {},
        ),
        Extra(
            "text",
            "reading text that is not in a text console's font: kju wait --text, screen.wait_text",
            {"cv2": "OpenCV", "tesserocr": "tesserocr"},
            {},
        ),
        Extra(
            "remote",
            "screens on the network: kju serve, mirror, router, cert, trust, ls --remote,"
            " demo --remote",
            {"zenoh": "zenoh", "cryptography": "cryptography", "zstandard": "zstandard"},
            {"simplejpeg": "simplejpeg", "lz4": "lz4"},
        ),
        Extra(
            "web",
            "machines in a browser: kju web",
            {"aiohttp": "aiohttp", "cryptography": "cryptography", "zstandard": "zstandard"},
            {"simplejpeg": "simplejpeg"},
        ),
        Extra("agents", "machines for models: kju mcp", {"mcp": "mcp"}, {"isal": "isal"}),
        Extra(
            "fleet",
            "machines on many computers: kju.fleet",
            {"ray": "Ray"},
            {"zenoh": "zenoh"},
        ),
        Extra("gym", "environments for Gymnasium: kju.gym", {"gymnasium": "Gymnasium"}, {}),
    )
}


def missing_packages(name: str, only: str = "") -> list[str]:
    """Return the required packages of an extra that are not installed.

    Args:
        name: A name in `EXTRAS`.
        only: The only module to check (default: all required ones); it may be an optional one.
    """
    extra = EXTRAS[name]
    wanted = {only: (extra.modules | extra.others)[only]} if only else extra.modules
    return [package for module, package in wanted.items() if not _installed(module)]


def require(name: str, purpose: str, *, only: str = "") -> None:
    """Check that an extra is installed.

    Args:
        name: A name in `EXTRAS`.
        purpose: The subject of the message: a noun in the singular.
        only: The only module to check (default: all).

    Raises:
        MissingError: A package is not installed; the message has the command that installs it.
    """
    if missing := missing_packages(name, only):
        raise MissingError(message(name, purpose, missing))


def message(name: str, purpose: str, packages: list[str]) -> str:
    """Return an error line: the purpose, the missing packages, the command to install them."""
    return f"{purpose} needs {' and '.join(packages)}; install with: {install_command(name)}"


def explain(error: ImportError) -> MissingError | None:
    """Return the error to show for a failed import, or None if no extra has the module."""
    module = (error.name or "").partition(".")[0]
    for extra in EXTRAS.values():
        package = (extra.modules | extra.others).get(module)
        if package is not None:
            return MissingError(message(extra.name, "this", [package]))
    return None


def install_command(name: str) -> str:
    """Return the command that installs an extra where this kju is installed.

    This is ``tools/setup`` in a checkout, and pip in any other environment, with the source that
    kju was installed from.
    """
    for root in (Path(sys.prefix).parent, Path(__file__).resolve().parents[2]):
        setup = root / "tools" / "setup"
        if setup.is_file() and (root / "src" / "kju").is_dir():
            program = "tools/setup" if root == _here() else str(setup)
            return f"{shlex.quote(program)} {name}"
    return f"{shlex.quote(sys.executable)} -m pip install {shlex.quote(_requirement(name))}"


def _requirement(name: str) -> str:
    """Return the requirement for pip, with the source that kju was installed from if known."""
    from importlib import metadata  # it takes 20 ms to import, and few commands need it

    try:
        text = metadata.distribution("kju").read_text("direct_url.json")
        url = str(json.loads(text)["url"]) if text else ""
    except (metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        url = ""
    return f"kju[{name}] @ {url}" if url else f"kju[{name}]"


def _here() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # the folder was removed
        return None


def _installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    return util.find_spec(module) is not None


def install_program(commands: Mapping[str, str], otherwise: str) -> str:
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
