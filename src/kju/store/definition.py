"""The definition of a machine, as its owner writes it. I/O-free.

A definition is strict: an unknown key is an error, and every error names the file, the line and the
key. Paths are kept as written; the reader of the file makes them absolute.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, NoReturn

import msgspec
from msgspec import Meta, Struct

from ..errors import DefinitionError
from ..protocol.values import DISK_BUSES, DiskBus
from . import definition_lines as lines

Text = Annotated[str, Meta(max_length=4096, pattern=r"^[^\x00]*$")]
Texts = Annotated[list[Text], Meta(max_length=1000)]

_SYNTAX = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)
_VALUE = re.compile(r"(.*?)(?: - at `\$(?:\.(\w+))?(?:\[(\d+)\])?.*`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)

_MEMORY = re.compile(r"[1-9]\d{0,11}[KMGTkmgt]?")


class Definition(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One machine.

    Attributes:
        name: Its name; empty for its folder's.
        image: The disk, CD or kernel that it boots from; empty for none.
        disks: Further disks and CDs, in this order.
        disk_bus: The bus of its disks, one of `DISK_BUSES`; empty for the one that QEMU itself
            uses on this machine type.
        trust_disk: Whether its disks may name files anywhere and on the network.
        memory: Such as ``2G``; empty for kju's default.
        cpus: Virtual processors; 0 for QEMU's default.
        firmware: ``bios``, ``uefi``, or the path of a firmware's image.
        network: ``user`` for connections to the outside, or ``none``.
        devices: Values of QEMU's ``-device``.
        arguments: Further arguments of QEMU, passed on as they are.
        qemu: The QEMU to run; empty to look for one.
        base: The machine that this one was cloned from: its disks are overlays of that one's.
    """

    name: Text = ""
    image: Text = ""
    disks: Texts = []
    disk_bus: DiskBus | Literal[""] = ""
    trust_disk: bool = False
    memory: Text = ""
    cpus: Annotated[int, Meta(ge=0, le=1024)] = 0
    firmware: Text = "bios"
    network: Literal["user", "none"] = "user"
    devices: Texts = []
    arguments: Annotated[list[Text], Meta(max_length=10_000)] = []
    qemu: Text = ""
    base: Text = ""


KEYS = Definition.__struct_fields__
#: Characters of a definition.
MAX_TEXT = 1 << 20
#: Dots of one line, outside of texts: the parser takes the square of a dotted key's length, 11 s
#: for 64 kB. No key of a definition has any.
MAX_DOTS = 64


def decode(text: str, file: str, name: str) -> Definition:
    """Read a definition.

    Args:
        text: The file's.
        file: Its path, for messages.
        name: The machine's, by its folder.

    Raises:
        DefinitionError: It is not one; file, line and key are in the message.
    """
    if len(text) > MAX_TEXT:
        why = f"this is longer than {MAX_TEXT} characters; no definition is"
        raise DefinitionError(f"{file}:1: {why}", file, 1)
    if (line := lines.dotted(text, MAX_DOTS)) is not None:
        why = f"this line has more than {MAX_DOTS} dots outside of texts"
        raise DefinitionError(f"{file}:{line}: {why}", file, line)
    try:
        found = msgspec.toml.decode(text.encode(), type=Definition)
    except msgspec.ValidationError as error:
        _refuse_value(str(error), text, file)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        # ValueError: half a surrogate pair, or a number of more digits than Python takes.
        _refuse_syntax(str(error), text, file)
    if found.name not in ("", name):
        refuse(text, file, "name", f"the machine's name is its folder's, which is {name!r}")
    if found.memory and not _MEMORY.fullmatch(found.memory):
        refuse(text, file, "memory", f"{found.memory!r} is not an amount of memory such as '2G'")
    if not found.firmware:
        refuse(text, file, "firmware", "it is 'bios', 'uefi' or the path of a firmware's image")
    for key in ("disks", "devices"):
        for index, item in enumerate(getattr(found, key)):
            if not item:
                refuse(text, file, key, "an empty text", index)
    return found


def refuse(text: str, file: str, key: str, why: str, item: int | None = None) -> NoReturn:
    """Raise the error for a key of a definition, or for one item of its array.

    Raises:
        DefinitionError: Always.
    """
    line = lines.line_of(text, key, item) or 1
    shown = key if item is None else f"{key}[{item}]"
    raise DefinitionError(f"{file}:{line}: {shown}: {why}", file, line, key)


def _refuse_value(said: str, text: str, file: str) -> NoReturn:
    if unknown := _UNKNOWN.match(said):
        key = unknown[1]
        refuse(text, file, key, f"unknown key; the keys are {', '.join(KEYS)}")
    match = _VALUE.fullmatch(said)
    what, key, item = match.groups() if match else (said, None, None)
    refuse(text, file, key or "", _plain(what, key or ""), int(item) if item else None)


def _refuse_syntax(said: str, text: str, file: str) -> NoReturn:
    if (again := lines.twice(text)) is not None:
        why = "this key is given twice"
        raise DefinitionError(
            f"{file}:{again.line}: {again.key}: {why}", file, again.line, again.key
        )
    match = _SYNTAX.fullmatch(said)
    end = text.count("\n", 0, len(text.rstrip())) + 1
    line = int(match[2]) if match and match[2] else end
    key = next((p.key for p in reversed(lines.places(text)) if p.line <= line), "")
    what = match[1] if match else said
    where = f"{key}: " if key else ""
    raise DefinitionError(f"{file}:{line}: {where}invalid TOML: {what}", file, line, key)


def _plain(said: str, key: str) -> str:
    """Return the decoder's message in the terms of TOML."""
    words = {
        "`array`": "a list",
        "`str`": "a text",
        "`int`": "a whole number",
        "`bool`": "true or false",
        "`object`": "a table",
    }
    for theirs, ours in words.items():
        said = said.replace(theirs, ours)
    if "regex" in said:
        return "it holds a zero byte"
    if said.startswith("Invalid enum value"):
        *most, last = map(repr, DISK_BUSES if key == "disk_bus" else ("user", "none"))
        return f"{said[0].lower()}{said[1:]}: it is {', '.join(most)} or {last}"
    return said[:1].lower() + said[1:]


def write(definition: Definition) -> str:
    """Return a definition as TOML, without default values."""
    defaults = Definition()
    parts = []
    for key in KEYS:
        value = getattr(definition, key)
        if value != getattr(defaults, key):
            parts.append(f"{key} = {_value(value)}\n")
    return "".join(parts)


def _value(value: object) -> str:
    if isinstance(value, list):
        if not value:
            return "[]"
        return "[\n" + "".join(f"    {_value(item)},\n" for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return '"' + "".join(_ESCAPES.get(c) or _escape(c) for c in str(value)) + '"'


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def _escape(character: str) -> str:
    return character if character.isprintable() else f"\\U{ord(character):08x}"
