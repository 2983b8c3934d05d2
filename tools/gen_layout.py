"""Generate the surface's format for Python and for the documentation from the C header.

    python tools/gen_layout.py           write both files
    python tools/gen_layout.py --check   fail where one of them is stale

The header, include/kju/surface.h, is the one source of truth: this reads `struct kju_header`
with its comments, compares every computed offset with the header's own KJU_AT, and writes
src/kju/surface/layout.py and docs/reference/surface-fields.md.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "include/kju/surface.h"
MODULE = ROOT / "src/kju/surface/layout.py"
TABLE = ROOT / "docs/reference/surface-fields.md"

SIZES = {"uint8_t": 1, "uint32_t": 4, "int32_t": 4, "uint64_t": 8}
TYPES = {"uint8_t": "u8", "uint32_t": "u32", "int32_t": "i32", "uint64_t": "u64"}
MEMBER = re.compile(
    r"^\s*(?P<atomic>_Atomic\s+)?(?P<type>u?int\d+_t)\s+(?P<name>\w+)"
    r"(?:\[(?P<count>\w+)\])?;\s*/\*\s*(?P<text>.*?)\s*\*/\s*$"
)


class Field(NamedTuple):
    """One member of the header's struct."""

    name: str
    offset: int
    type: str
    length: int
    atomic: bool
    text: str

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return SIZES[self.type] * self.length

    @property
    def writer(self) -> str:
        """Return the writer, and the time of the write."""
        if self.name == "magic":
            return "producer, once, last"
        return "producer, any time" if self.atomic else "producer, once"

    @property
    def type_name(self) -> str:
        """Return the type for the table."""
        return TYPES[self.type] + (f"[{self.length}]" if self.length > 1 else "")


class Format(NamedTuple):
    """The parsed header."""

    fields: list[Field]
    constants: dict[str, int]
    states: dict[str, tuple[int, str]]


def main() -> int:
    """Write the files, or compare them."""
    found = read(HEADER.read_text())
    wanted = {MODULE: module_text(found), TABLE: table_text(found)}
    stale = [p for p, text in wanted.items() if not p.exists() or p.read_text() != text]
    names = ", ".join(str(p.relative_to(ROOT)) for p in stale)
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"stale: {names}; run tools/gen_layout.py", file=sys.stderr)
        return bool(stale)
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
    print(f"written: {names}" if stale else "nothing has changed")
    return 0


def read(header: str) -> Format:
    """Parse the header; raise SystemExit if an offset differs from its asserts."""
    constants = read_constants(header)
    fields = read_fields(header, constants)
    asserted = {name: int(at) for name, at in re.findall(r"^KJU_AT\((\w+), (\d+)\);", header, re.M)}
    for field in fields:
        if field.name.startswith("reserved"):
            continue
        if asserted.pop(field.name, None) != field.offset:
            raise SystemExit(f"{field.name}: worked out {field.offset}, KJU_AT says otherwise")
    if asserted:
        raise SystemExit(f"KJU_AT for fields that are not there: {', '.join(asserted)}")
    states = {
        name: (int(value), text)
        for name, value, text in re.findall(
            r"KJU_(\w+) = (\d+),?\s*/\* (.*?) \*/", section(header, "enum kju_state {")
        )
    }
    return Format(fields, constants, states)


def section(header: str, start: str) -> str:
    """Return the text between *start* and its closing brace."""
    begin = header.index(start) + len(start)
    return header[begin : header.index("\n};", begin)]


def read_constants(header: str) -> dict[str, int]:
    """Return every #define with a plain number, a UINT64_C or a KJU_FOURCC."""
    constants = {}
    number = r"^#define KJU_(\w+) (?:UINT64_C\()?(0x[0-9a-f]+|\d+)u?\)?(?:\s|$)"
    for name, value in re.findall(number, header, re.M):
        if name != "TSAN":  # depends on the compilation
            constants[name] = int(value, 0)
    letters = r"^#define KJU_(\w+) KJU_FOURCC\('(.)', '(.)', '(.)', '(.)'\)"
    for name, *four in re.findall(letters, header, re.M):
        constants[name] = int.from_bytes("".join(four).encode(), "little")
    return constants


def read_fields(header: str, constants: dict[str, int]) -> list[Field]:
    """Return the members of struct kju_header with their offsets."""
    fields, offset = [], 0
    for line in section(header, "struct kju_header {").splitlines():
        if not line.strip():
            continue
        match = MEMBER.match(line)
        if not match:
            raise SystemExit(f"a line of struct kju_header that is not understood: {line}")
        count = match["count"] or "1"
        number = int(count) if count.isdigit() else constants[count.removeprefix("KJU_")]
        size = SIZES[match["type"]]
        offset = -(-offset // size) * size
        field = Field(
            match["name"], offset, match["type"], number, bool(match["atomic"]), match["text"]
        )
        fields.append(field)
        offset += field.size
    return fields


def module_text(found: Format) -> str:
    """src/kju/surface/layout.py."""
    lines = [
        '"""The surface\'s header, field by field. Generated from include/kju/surface.h.',
        "",
        "Do not edit: run tools/gen_layout.py. Programs use `producer` and `consumer`;",
        "this is for looking at the bytes themselves, which may be anything.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import NamedTuple",
        "",
    ]
    lines += [
        f"{name} = 0x{value:X}" if name == "MAGIC" else f"{name} = {value}"
        for name, value in found.constants.items()
    ]
    lines += [
        "",
        "",
        "class Field(NamedTuple):",
        '    """One field of the header.',
        "",
        "    Attributes:",
        "        name: As in the header.",
        "        offset: Bytes from the start of the surface.",
        "        type: ``u8``, ``u32``, ``i32`` or ``u64``, little-endian.",
        "        length: How many of them.",
        "        constant: It never changes once the magic is written.",
        "        meaning: The header's comment.",
        '    """',
        "",
        "    name: str",
        "    offset: int",
        "    type: str",
        "    length: int",
        "    constant: bool",
        "    meaning: str",
        "",
        "    @property",
        "    def size(self) -> int:",
        '        """Bytes."""',
        "        return TYPE_SIZES[self.type] * self.length",
        "",
        "    def read(self, header: bytes) -> int | bytes:",
        '        """The value in the bytes of a header; bytes where there are several."""',
        "        raw = header[self.offset : self.offset + self.size]",
        "        if self.length > 1:",
        "            return raw",
        '        return int.from_bytes(raw, "little", signed=self.type[0] == "i")',
        "",
        "",
        'TYPE_SIZES = {"u8": 1, "u32": 4, "i32": 4, "u64": 8}',
        "",
        "STATES = {",
    ]
    lines += [f'    {value}: "{name.lower()}",' for name, (value, _) in found.states.items()]
    lines += ["}", "", "FIELDS = ("]
    for f in found.fields:
        constant = not f.atomic or f.name == "magic"
        text = '"' + f.text.replace('"', '\\"') + '"'
        lines += wrapped((f'"{f.name}"', f.offset, f'"{TYPES[f.type]}"', f.length, constant, text))
    lines += [")", "", "BY_NAME = {field.name: field for field in FIELDS}"]
    return "\n".join(lines) + "\n"


def wrapped(values: tuple[object, ...]) -> list[str]:
    """Return a call of Field, formatted."""
    inside = ", ".join(map(str, values))
    if len(inside) <= 100 - len("    Field(),"):
        return [f"    Field({inside}),"]
    if len(inside) <= 100 - 8:
        return ["    Field(", f"        {inside},"[:-1], "    ),"]
    return ["    Field(", *(f"        {value}," for value in values), "    ),"]


def table_text(found: Format) -> str:
    """docs/reference/surface-fields.md."""
    lines = [
        "<!-- Generated from include/kju/surface.h by tools/gen_layout.py: do not edit. -->",
        "",
        f"The header takes the first {found.constants['HEADER_SIZE']} bytes of a surface. "
        "All fields are little-endian. `const` fields never change once the magic is written; "
        "every other field is an atomic.",
        "",
        "| offset | type | field | writer | meaning |",
        "|---:|---|---|---|---|",
    ]
    for f in found.fields:
        if f.name.startswith("reserved"):
            lines.append(f"| {f.offset} | {f.type_name} |  |  | reserved: {f.text} |")
            continue
        text = f.text.removeprefix("const: ").replace("|", "\\|")
        lines.append(f"| {f.offset} | {f.type_name} | `{f.name}` | {f.writer} | {text} |")
    lines += ["", "### States", "", "| number | state | meaning |", "|---:|---|---|"]
    lines += [
        f"| {value} | {name.lower()} | {text} |" for name, (value, text) in found.states.items()
    ]
    lines += ["", "### Constants", "", "| name | value |", "|---|---:|"]
    lines += [
        f"| `KJU_{name}` | {f'{value:#x}' if value > 99999 else value} |"
        for name, value in found.constants.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
