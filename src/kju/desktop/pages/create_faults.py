"""The field that an error of QEMU is about, on the create page. I/O-free.

QEMU names the option at fault, or the file, and its option may be one that kju has made from a
field: ``-m`` from the memory, ``-drive`` from an image.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from itertools import pairwise
from pathlib import PurePath

#: Fields by what QEMU's errors about them begin with or contain.
_BY_WORDS = (
    ("memory", re.compile(r"-m[ :]|pc\.ram|guest memory|[Ii]nvalid RAM size|memory size")),
    ("cpus", re.compile(r"-smp\b|SMP CPUs|maxcpus|CPU topology")),
    ("network", re.compile(r"-netdev user,id=kju-net|kju-nic")),
    ("firmware", re.compile(r"-bios\b|pflash|[Bb]IOS image|firmware")),
    ("disk_bus", re.compile(r"-device [\w-]+,.*\bkju-disk")),
)
_FILES = ("image", "firmware", "qemu")
_OPTION = re.compile(r"(?<![\w-])--?([a-zA-Z][\w-]*)(?: ([^\s:]+))?")


def field_of(message: str, values: Mapping[str, str | bool]) -> str:
    """Return the key of the field that an error is about; empty if that is unknown.

    Args:
        message: QEMU's error.
        values: The fields' contents, by key.
    """
    return _by_own_words(message, values) or _by_file(message, values) or _by_words(message)


def _by_own_words(message: str, values: Mapping[str, str | bool]) -> str:
    """Return the field in which the user has written the option that the message names."""
    devices = {line.strip().split(",")[0] for line in str(values.get("devices", "")).splitlines()}
    try:
        arguments = shlex.split(str(values.get("arguments", "")))
    except ValueError:
        arguments = []
    drivers = {
        value.split(",")[0] for word, value in pairwise(arguments) if word.lstrip("-") == "device"
    }
    names = {word.lstrip("-") for word in arguments if word.startswith("-")}
    for option, value in _OPTION.findall(message):
        driver = value.split(",")[0]
        if option == "device" and driver in devices:
            return "devices"
        if driver in drivers if option == "device" else option in names:
            return "arguments"
    if "hostfwd" in message and "hostfwd" in " ".join(arguments):
        return "arguments"
    return ""


def _by_file(message: str, values: Mapping[str, str | bool]) -> str:
    """Return the field that names a file of the message."""
    named = [(key, str(values.get(key, "")).strip()) for key in _FILES]
    named += [("disks", line.strip()) for line in str(values.get("disks", "")).splitlines()]
    for key, path in named:
        name = PurePath(path).name
        if name and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", message):
            return key
    return ""


def _by_words(message: str) -> str:
    return next((key for key, pattern in _BY_WORDS if pattern.search(message)), "")
