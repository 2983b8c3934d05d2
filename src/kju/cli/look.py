"""Looking: screenshot, watch, dump."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

from ..client.targets import (
    attach_to_look,
    is_address,
    named,
    open_address,
    open_surface,
    screen_of,
)
from ..errors import KjuError, UsageError
from ..escaping import one_line
from ..keys import layout as find_layout
from ..memory.identity import has_died
from ..surface.consumer import Consumer
from ..surface.formats import fourcc_name
from ..viewers.grab import RELEASE, Keys
from ..viewers.targets import MachineTarget, SurfaceTarget
from ..viewers.terminal.ability import Ability, Colours
from ..viewers.terminal.heat import picture
from ..viewers.terminal.lines import LineReporter
from ..viewers.terminal.view import show, terminal_ability

if TYPE_CHECKING:
    from ..client.machine import Machine
    from ..client.surface import Surface

LEAVES = "leaves"


def screenshot(target: str, output: str, console: int, cursor: bool) -> None:
    """Save the screen as a PNG; ``-`` is standard output."""
    if output == "-" and sys.stdout.isatty():
        raise UsageError("a PNG does not go to a terminal: name a file, or use a pipe")
    if is_address(target):
        with open_surface(target) as surface:
            _save(surface, output, cursor)
        return
    with attach_to_look(target, or_address=True) as machine:
        screen = screen_of(machine, console)
        screen.refresh()
        _save(screen, output, cursor)


def _save(surface: Surface, output: str, cursor: bool) -> None:
    if output != "-":
        try:
            surface.screenshot(output, cursor=cursor)
        except KjuError:
            raise
        except ValueError as error:  # Pillow knows no format of this ending
            raise UsageError(f"{output}: {error}; let it end in .png") from error
        return
    surface.screenshot(sys.stdout.buffer, cursor=cursor)
    sys.stdout.buffer.flush()


def watch(
    target: str,
    console: int,
    seconds: float,
    as_json: bool,
    hint: str,
    *,
    follow: bool = False,
    view_only: bool = False,
    layout: str = "us",
    release_key: str = RELEASE,
) -> None:
    """Show the screen in the terminal and send input, or print a line a second into a pipe."""
    Keys(release_key)
    find_layout(layout)
    live = sys.stdout.isatty() and not as_json and terminal_ability().moves
    if is_address(target):
        with open_surface(target, follow=follow) as surface:
            if not live:
                _print_lines(LineReporter(target, surface), seconds, as_json)
                return
        show(SurfaceTarget(target), follow=follow, leave_hint=hint, seconds=seconds)
        return
    with attach_to_look(target, or_address=True) as machine:
        screen_of(machine, console)
        if not live:
            watch_machine(machine, console, seconds, as_json)
            return
    show(
        MachineTarget(target, console, view_only=view_only, layout=layout, with_source=True),
        release=release_key, leave_hint=hint, seconds=seconds,
    )  # fmt: skip


def watch_machine(
    machine: Machine, console: int, seconds: float, as_json: bool, hint: str = LEAVES
) -> None:
    """Do the same as `watch`, for a machine that is attached already."""
    screen = screen_of(machine, console)
    if sys.stdout.isatty() and not as_json and terminal_ability().moves:
        target = MachineTarget(machine.name, console, with_source=True)
        show(target, leave_hint=hint, seconds=seconds)
        return
    source = lambda: str(machine.info()["consoles"][console]["source"])  # noqa: E731
    _print_lines(LineReporter(machine.name, screen, source), seconds, as_json)


def _print_lines(lines: LineReporter, seconds: float, as_json: bool) -> None:
    for status in lines.reports(seconds):
        print(json.dumps(status.data) if as_json else "  ".join(status.parts), flush=True)


def _ability() -> Ability:
    found = terminal_ability()
    # A pipe's reader is unknown: plain characters only.
    return found if sys.stdout.isatty() else found._replace(colours=Colours.NONE)


def dump(address: str, as_json: bool) -> None:
    """Print a surface's header and a picture of its tile table."""
    segment = open_address(address)
    with named(address):
        consumer = Consumer(segment.mapping)
    facts = _facts(consumer, segment.fileno())
    if as_json:
        print(json.dumps({"address": address, **facts}))
    else:
        width = max(map(len, facts))
        for key, value in facts.items():
            print(f"{key.replace('_', ' '):{width}}  {one_line(str(value))}")
        _print_tiles(consumer)
    segment.check()
    segment.close()


def _facts(consumer: Consumer, fileno: int) -> dict[str, Any]:
    """What the header says, in its order; names are stable."""
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
        print(f"\n{table.shape[1]}x{table.shape[0]} tiles; the brighter, the later it changed:")
        print("\n".join(lit))
