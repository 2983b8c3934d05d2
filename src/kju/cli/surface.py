"""`kju dump`: a surface's header, and a picture of its tiles by age."""

from __future__ import annotations

import json as json_format
import shutil
import sys
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ..client.targets import named, open_address
from ..escaping import one_line
from ..memory.file import has_died
from ..surface.consumer import Consumer
from ..surface.formats import fourcc_name
from ..viewers.terminal.paint import Ability, Colours, quantise, rows
from ..viewers.terminal.view import terminal_ability
from .command import Json

if TYPE_CHECKING:
    import numpy.typing as npt

# Black, violet, red, orange, yellow, white, as of glowing metal: dark is old.
_STOPS = np.array([0, 60, 120, 180, 225, 255])
_RED = np.array([24, 70, 190, 240, 250, 255])
_GREEN = np.array([24, 10, 30, 110, 210, 255])
_BLUE = np.array([32, 100, 60, 20, 60, 240])


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
    lit = heat_picture(table, consumer.reader.version, _ability(), columns, max(lines - 4, 10))
    if lit:
        print(f"\n{table.shape[1]}x{table.shape[0]} tiles, brighter ones changed later:")
        print("\n".join(lit))


def _ability() -> Ability:
    found = terminal_ability()
    # The reader of a pipe is unknown, so it gets plain characters.
    return found if sys.stdout.isatty() else found._replace(colours=Colours.NONE)


def heat(table: npt.NDArray[np.uint64], version: int) -> npt.NDArray[np.uint8]:
    """Return each tile's heat: 255 for the newest version, 0 for the oldest in the table.

    It is logarithmic, so that one version ago differs from ten, and a thousand from ten thousand.

    Args:
        table: Versions of tiles, ``(rows, columns)``.
        version: Of the surface.
    """
    newest = np.uint64(max(version, int(table.max(initial=0))))
    age = (newest - table).astype(np.float64)
    coldest = np.log2(1 + age.max(initial=0.0)) or 1.0
    return (255 * (1 - np.log2(1 + age) / coldest)).astype(np.uint8)


def heat_picture(
    table: npt.NDArray[np.uint64], version: int, ability: Ability, columns: int, lines: int
) -> list[str]:
    """Return the table as lines of text, one dot a tile; in a large one the hottest of several.

    Args:
        table: Versions of tiles, ``(rows, columns)``.
        version: Of the surface.
        ability: Of the terminal.
        columns: Limit of characters in a line.
        lines: Limit of lines.
    """
    if not table.size:
        return []
    step = max(-(-table.shape[1] // columns), -(-table.shape[0] // (2 * lines)))
    hot = _hottest(heat(table, version), step)
    if hot.shape[0] % 2:
        hot = np.vstack((hot, hot[-1:]))
    colours = np.stack([np.interp(hot, _STOPS, c) for c in (_RED, _GREEN, _BLUE)], axis=-1)
    if not ability.colours:
        # The coldest tile is a dot, so that the table's shape can be seen.
        colours = np.repeat(np.maximum(hot, 1)[..., np.newaxis], 3, axis=2)
    return rows(quantise(colours.astype(np.uint8), ability), ability)


def _hottest(hot: npt.NDArray[np.uint8], step: int) -> npt.NDArray[np.uint8]:
    down = np.maximum.reduceat(hot, np.arange(0, hot.shape[0], step), axis=0)
    across: npt.NDArray[np.uint8] = np.maximum.reduceat(
        down, np.arange(0, hot.shape[1], step), axis=1
    )
    return across
