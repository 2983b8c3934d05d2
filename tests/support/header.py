"""Writing a surface's header behind the backs of both its sides."""

from __future__ import annotations

from kju.surface import layout


def set_field(memory: bytearray, name: str, value: int) -> None:
    """Set one field; a value that does not fit is cut."""
    field = layout.BY_NAME[name]
    memory[field.offset : field.offset + field.size] = (value % 2 ** (8 * field.size)).to_bytes(
        field.size, "little"
    )
