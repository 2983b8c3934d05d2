"""The format of ``machine.toml``, the definition of a machine. I/O-free.

A definition is strict: an unknown key is an error, and every error names the file, the line and the
key. Paths are kept as written; the reader of the file makes them absolute.

The TOML parser does not report the lines of keys, so `key_places` finds them. It checks nothing: it
skips strings, comments and brackets, and takes the text left of an equals sign as a key. For
invalid TOML the result is a best effort.

Source:
    TOML 1.0.0, https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, NoReturn

import msgspec
from msgspec import Meta, Struct

from ..errors import DefinitionError
from ..protocol.values import DISK_BUSES, DiskBus, size_fault

Text = Annotated[str, Meta(max_length=4096, pattern=r"^[^\x00]*$")]
Texts = Annotated[list[Text], Meta(max_length=1000)]
Labels = Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=32)]

_SYNTAX = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)
_VALUE = re.compile(r"(.*?)(?: - at `\$(?:\.(\w+))?(?:\[(\d+)\])?.*`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


class Definition(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One machine.

    Attributes:
        name: Its name; None for its folder's.
        image: The disk, CD or kernel that it boots from, if any.
        disks: Further disks and CDs, in this order.
        disk_bus: The bus of its disks, one of `DISK_BUSES`; None for QEMU's default on this
            machine type.
        trust_disk: Whether its disks may refer to files in other folders and to network addresses.
        memory: Such as ``2G``; None for kju's default.
        cpus: Virtual processors; None for QEMU's default.
        firmware: ``bios``, ``uefi``, or the path of a firmware's image.
        network: ``user`` for connections to the outside, or ``none``.
        devices: Values of QEMU's ``-device``.
        arguments: Further arguments of QEMU, passed on as they are.
        qemu: The QEMU to run; None to look for one.
        base: The machine that this one was cloned from, if any: its disks are overlays of that
            machine's disks.
        labels: Words of the user, by which the app's wall finds it.
    """

    name: Text | None = None
    image: Text | None = None
    disks: Texts = []
    disk_bus: DiskBus | Literal[""] | None = None
    trust_disk: bool = False
    memory: Text | None = None
    cpus: Annotated[int, Meta(ge=0, le=1024)] | None = None
    firmware: Text = "bios"
    network: Literal["user", "none"] = "user"
    devices: Texts = []
    arguments: Annotated[list[Text], Meta(max_length=10_000)] = []
    qemu: Text | None = None
    base: Text | None = None
    labels: Labels = []


KEYS = Definition.__struct_fields__
_OPTIONAL = ("name", "image", "disk_bus", "memory", "cpus", "qemu", "base")
#: Maximum number of characters in a definition.
MAX_TEXT = 1 << 20
#: Maximum number of dots in a line, outside of strings: the parser takes time with the square of a
#: dotted key's length, 11 s for 64 kB. No key of a definition has a dot.
MAX_DOTS = 64


def decode(text: str, file: str, name: str) -> Definition:
    """Read a definition.

    Args:
        text: The contents of the file.
        file: Its path, for messages.
        name: The machine's name, which is that of its folder.

    Raises:
        DefinitionError: It is not valid; the message has the file, line and key.
    """
    if len(text) > MAX_TEXT:
        why = f"this is longer than {MAX_TEXT} characters, the maximum"
        raise DefinitionError(f"{file}:1: {why}", file, 1)
    if (line := first_dotted_line(text, MAX_DOTS)) is not None:
        why = f"this line has more than {MAX_DOTS} dots outside of texts"
        raise DefinitionError(f"{file}:{line}: {why}", file, line)
    try:
        found = msgspec.toml.decode(text.encode(), type=Definition)
    except msgspec.ValidationError as error:
        _refuse_value(str(error), text, file)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        # ValueError: half a surrogate pair, or a number of more digits than Python takes.
        _refuse_syntax(str(error), text, file)
    # An empty text, and 0 processors, stand for the default.
    empty = {key: None for key in _OPTIONAL if not getattr(found, key)}
    found = msgspec.structs.replace(found, **empty)
    if found.name not in (None, name):
        refuse(text, file, "name", f"the machine's name is that of its folder, {name!r}")
    if found.memory and (fault := size_fault("memory", found.memory)):
        refuse(text, file, "memory", fault)
    if not found.firmware:
        refuse(text, file, "firmware", "use 'bios', 'uefi' or the path of a firmware")
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
    line = line_of(text, key, item) or 1
    shown = key if item is None else f"{key}[{item}]"
    raise DefinitionError(f"{file}:{line}: {shown}: {why}", file, line, key)


def _refuse_value(message: str, text: str, file: str) -> NoReturn:
    if unknown := _UNKNOWN.match(message):
        key = unknown[1]
        refuse(text, file, key, f"unknown key; the keys are {', '.join(KEYS)}")
    match = _VALUE.fullmatch(message)
    what, key, item = match.groups() if match else (message, None, None)
    refuse(text, file, key or "", _plain(what, key or ""), int(item) if item else None)


def _refuse_syntax(message: str, text: str, file: str) -> NoReturn:
    if (again := repeated_key(text)) is not None:
        why = "this key is given twice"
        raise DefinitionError(
            f"{file}:{again.line}: {again.key}: {why}", file, again.line, again.key
        )
    match = _SYNTAX.fullmatch(message)
    end = text.count("\n", 0, len(text.rstrip())) + 1
    line = int(match[2]) if match and match[2] else end
    key = next((p.key for p in reversed(key_places(text)) if p.line <= line), "")
    what = match[1] if match else message
    where = f"{key}: " if key else ""
    raise DefinitionError(f"{file}:{line}: {where}invalid TOML: {what}", file, line, key)


def _plain(message: str, key: str) -> str:
    """Return the decoder's message in TOML's terms."""
    words = {
        " | null": "",  # TOML has no null
        "`array`": "a list",
        "`str`": "a text",
        "`int`": "a whole number",
        "`bool`": "true or false",
        "`object`": "a table",
    }
    for theirs, ours in words.items():
        message = message.replace(theirs, ours)
    if "regex" in message:
        return "it contains a zero byte"
    if message.startswith("Invalid enum value"):
        *most, last = map(repr, DISK_BUSES if key == "disk_bus" else ("user", "none"))
        return f"{message[0].lower()}{message[1:]}: it is {', '.join(most)} or {last}"
    return message[:1].lower() + message[1:]


def write(definition: Definition) -> str:
    """Return a definition as TOML, without default values."""
    defaults = Definition()
    parts = []
    for key in KEYS:
        value = getattr(definition, key)
        if value != getattr(defaults, key):
            parts.append(f"{key} = {toml_value(value)}\n")
    return "".join(parts)


def toml_value(value: object) -> str:
    """Return a value as TOML: a text, a number, a truth value or a list of texts."""
    if isinstance(value, list):
        if not value:
            return "[]"
        return "[\n" + "".join(f"    {toml_value(item)},\n" for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return '"' + "".join(_ESCAPES.get(c) or _escape(c) for c in str(value)) + '"'


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def _escape(character: str) -> str:
    return character if character.isprintable() else f"\\U{ord(character):08x}"


# A string is one token; the long forms come first.
TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'"
    r"|\#[^\n]*|[\[\]{}=,\n]|[^\s\[\]{}=,\"'#]+|[ \t\r]+|.",
    re.DOTALL,
)  # fmt: skip


class _KeyPlace(NamedTuple):
    """One key of a text.

    Attributes:
        key: Without quotes; the first part of a dotted key.
        line: The line where it begins, from 1.
        items: The line where each item of its value begins, if that is an array.
    """

    key: str
    line: int
    items: tuple[int, ...]


def key_places(text: str) -> list[_KeyPlace]:
    """Return every top-level key and every table of a text, in order."""
    return list(_places(list(_tokens(text))))


def line_of(text: str, key: str, item: int | None = None) -> int | None:
    """Return the line of a key, or of one item of its array, from 1; None if it is missing."""
    for place in key_places(text):
        if place.key == key:
            return place.items[item] if item is not None and item < len(place.items) else place.line
    return None


def repeated_key(text: str) -> _KeyPlace | None:
    """Return the second occurrence of the first repeated key; None if no key is repeated."""
    seen = set()
    for place in key_places(text):
        if place.key in seen:
            return place
        seen.add(place.key)
    return None


def first_dotted_line(text: str, most: int) -> int | None:
    """Return the first line with more than *most* dots outside of strings and comments, or None."""
    found, here = 0, 1
    for word, line in _tokens(text):
        if line != here:
            found, here = 0, line
        found += 0 if word[0] in "\"'" else word.count(".")
        if found > most:
            return line
    return None


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    line = 1
    for match in TOKEN.finditer(text):
        word = match[0]
        if not word.startswith("#") and word.strip(" \t\r"):
            yield word, line
        line += word.count("\n")


def _places(tokens: list[tuple[str, int]]) -> Iterator[_KeyPlace]:
    at, in_table = 0, False
    while at < len(tokens):
        word, line = tokens[at]
        end = _end(tokens, at)
        if word == "[":
            # [table] or [[table]]: the following keys belong to it.
            in_table = True
            # In invalid TOML the bracket may be the last token: then there is no name.
            first = at
            while first < len(tokens) and tokens[first][0] == "[":
                first += 1
            name = tokens[first][0] if first < len(tokens) else "\n"
            if _is_key(name):
                yield _KeyPlace(key_name(name), line, ())
        elif _is_key(word) and not in_table:
            yield _KeyPlace(key_name(word), line, _items(tokens[at:end]))
        at = end + 1


def _end(tokens: list[tuple[str, int]], at: int) -> int:
    """Return the index of the newline, outside of brackets, that ends a statement at *at*."""
    depth = 0
    for index in range(at, len(tokens)):
        word = tokens[index][0]
        depth += (word in "[{") - (word in "]}")
        if word == "\n" and depth <= 0:
            return index
    return len(tokens)


def _items(statement: list[tuple[str, int]]) -> tuple[int, ...]:
    """Return the lines where the items of a statement's array begin."""
    start = next((i + 1 for i, (word, _) in enumerate(statement) if word == "="), len(statement))
    if start >= len(statement) or statement[start][0] != "[":
        return ()
    found: list[int] = []
    depth, wanted = 0, True
    for word, line in statement[start:]:
        if word not in "]},\n" and wanted and depth == 1:
            found.append(line)
            wanted = False
        depth += (word in "[{") - (word in "]}")
        if word == "," and depth == 1:
            wanted = True
    return tuple(found)


def _is_key(word: str) -> bool:
    """Return whether a token can be a key: a string of several lines cannot."""
    return word not in "[]{}=," and "\n" not in word


def key_name(word: str) -> str:
    """Return a key without quotes; of a dotted key, its first part."""
    if word[0] in "\"'":
        return word.strip(word[0])
    return word.partition(".")[0]
