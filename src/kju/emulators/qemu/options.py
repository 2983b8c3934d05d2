"""QEMU's command line, read but never changed. I/O-free.

QEMU takes ``-name value`` and ``--name value``; some options take no value; a word that
does not begin with a dash is a disk. A value is ``first,key=value,...`` with commas
doubled inside values, or JSON.

Source:
    qemu-options.hx, system/vl.c (the loop over the arguments), util/qemu-option.c.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

# Options that stand alone, of any QEMU since 7.0.
_FLAGS = """
h help version audio-help enable-kvm snapshot full-screen nographic no-quit alt-grab ctrl-grab
usb no-fd-bootchk no-acpi no-hpet win2k-hack S s daemonize no-reboot no-shutdown nodefaults
no-user-config nouserconfig mem-prealloc preconfig only-migratable semihosting old-param
enable-fips enable-sync-profile perfmap jitdump async-teardown xen-attach xen-domid-restrict
singlestep one-insn-per-tb portrait curses sdl
"""
FLAGS = frozenset(_FLAGS.split())


class Option(NamedTuple):
    """One option as the user wrote it.

    Attributes:
        name: Without dashes; ``hda`` for a bare word.
        value: None for an option that stands alone.
    """

    name: str
    value: str | None

    @property
    def written(self) -> str:
        """The option as written, for a message."""
        return f"-{self.name}" if self.value is None else f"-{self.name} {self.value}"


def parse(arguments: Sequence[str]) -> list[Option]:
    """Return the options in a command line; a missing last value is None, for QEMU to refuse."""
    found = []
    words = iter(arguments)
    for word in words:
        if not word.startswith("-") or word == "-":
            found.append(Option("hda", word))
            continue
        name = word[2:] if word.startswith("--") else word[1:]
        found.append(Option(name, None if name in FLAGS else next(words, None)))
    return found


def fields(value: str | None, first: str) -> dict[str, str]:
    """A value's keys.

    Args:
        value: The value, in either form.
        first: The key of a leading word without one, such as ``driver``.
    """
    if not value:
        return {}
    if value.lstrip().startswith("{"):
        return _from_json(value)
    found: dict[str, str] = {}
    for index, part in enumerate(_split(value)):
        key, equals, text = part.partition("=")
        if equals:
            found[key] = text
        elif index == 0:
            found[first] = part
        else:
            # "nowait" and the like: a switch that is on.
            found[part] = "on"
    return found


#: A string in QEMU's JSON, which may have single quotes, too.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', re.DOTALL)


def _double_quoted(found: re.Match[str]) -> str:
    text = found[0]
    if text.startswith('"'):
        return text
    inner = re.sub(r"\\.|\"", lambda part: _ESCAPED.get(part[0], part[0]), text[1:-1])
    return f'"{inner}"'


_ESCAPED = {"\\'": "'", '"': '\\"'}


def _from_json(value: str) -> dict[str, str]:
    try:
        decoded: Any = json.loads(_STRING.sub(_double_quoted, value))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(decoded, dict):
        return {}
    return {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in decoded.items()}


def _split(value: str) -> list[str]:
    parts = [part.replace("\0", ",") for part in value.replace(",,", "\0").split(",")]
    return [part for part in parts if part]


def quote(text: str) -> str:
    """Return a text for use inside a value: commas doubled."""
    return text.replace(",", ",,")
