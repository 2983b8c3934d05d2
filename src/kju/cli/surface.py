"""`kju dump`."""

from __future__ import annotations

import json as json_format
import shutil
import sys
from typing import Annotated, Any

import typer

from ..client.targets import named, open_address
from ..escaping import one_line
from ..memory.file import has_died
from ..surface.consumer import Consumer
from ..surface.formats import fourcc_name
from ..viewers.terminal.ability import Ability, Colours
from ..viewers.terminal.heat import picture
from ..viewers.terminal.view import terminal_ability
from .parameters import Json


def dump(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A surface: a path, posix:/NAME or sysv:ID.")
    ],
    json: Json = False,
) -> None:
    """Print a surface's header, and its tiles by age."""
    segment = open_address(path)
    with named(path):
        consumer = Consumer(segment.mapping)
    facts = _facts(consumer, segment.fileno())
    if json:
        print(json_format.dumps({"address": path, **facts}))
    else:
        width = max(map(len, facts))
        for key, value in facts.items():
            print(f"{key.replace('_', ' '):{width}}  {one_line(str(value))}")
        _print_tiles(consumer)
    segment.check()
    segment.close()


def _facts(consumer: Consumer, fileno: int) -> dict[str, Any]:
    """Return the header's fields, in its order; the names are stable."""
    reader, mode, who = consumer.reader, consumer.mode, consumer.producer
    state, reason = consumer.state
    cursor = consumer.cursor()
    shape = f"{cursor.shape.shape[1]}x{cursor.shape.shape[0]}"
    return {
        "bytes": reader.size,
        "incarnation": f"{reader.incarnation:016x}",
        "state": state.name.lower(),
        "reason": reason,
        "width": mode.width,
        "height": mode.height,
        "stride": mode.stride,
        "fourcc": fourcc_name(mode.fourcc) if mode.epoch else "",
        "epoch": mode.epoch,
        "version": reader.version,
        "pulse": reader.pulse,
        "tile_side": reader.tile_side,
        "pixels_offset": reader.pixels_offset,
        "pixels_capacity": reader.pixels_capacity,
        "producer_pid": who.pid,
        "producer_alive": not has_died(who, fileno),
        "cursor": f"{shape} at {cursor.x},{cursor.y}" + ("" if cursor.visible else ", hidden"),
        "cursor_version": cursor.version,
    }


def _print_tiles(consumer: Consumer) -> None:
    table = consumer.tile_versions()
    columns, lines = shutil.get_terminal_size()
    lit = picture(table, consumer.reader.version, _ability(), columns, max(lines - 4, 10))
    if lit:
        print(f"\n{table.shape[1]}x{table.shape[0]} tiles, brighter ones changed later:")
        print("\n".join(lit))


def _ability() -> Ability:
    found = terminal_ability()
    # The reader of a pipe is unknown, so it gets plain characters.
    return found if sys.stdout.isatty() else found._replace(colours=Colours.NONE)
