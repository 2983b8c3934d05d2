"""Pictures and videos: `kju screenshot`, `record` and `play`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from ..client.surface import Surface
from ..client.targets import attach_to_look, check_console, is_address, open_surface, screen_of
from ..errors import KjuError, UsageError
from ..escaping import one_line
from .command import AnyName, Console, Seconds, Target

_TICK_SECONDS = 0.5


def screenshot(
    name: Target,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A PNG, or another picture file (default: NAME.png; -: standard output).",
            show_default=False,
        ),
    ] = "",
    console: Console = 0,
    cursor: Annotated[bool, typer.Option("--cursor", help="Draw the guest's cursor.")] = False,
) -> None:
    """Save the screen as a picture."""
    if file == "-" and sys.stdout.isatty():
        raise UsageError("a picture cannot be printed on a terminal; name a file, or use a pipe")
    output = file or f"{Path(name).stem if is_address(name) else name}.png"
    if is_address(name):
        with open_surface(name) as surface:
            _save(surface, output, cursor)
    else:
        with attach_to_look(name, or_address=True) as machine:
            screen = screen_of(machine, console)
            screen.refresh()
            _save(screen, output, cursor)
    if not file:
        print(output)


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


def record(
    name: AnyName = "",
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A new .mp4, .webm or .gif (default: NAME and the time, .mp4).",
            show_default=False,
        ),
    ] = "",
    console: Console = 0,
    seconds: Seconds = 0,
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Write no file with the input beside the video.")
    ] = False,
) -> None:
    """Record the screen as a video until Ctrl+C.

    The file plays up to the end if the machine ends or the disk is full. FILE.input.jsonl has the
    keys and pointer actions of all clients, which may be passwords; only you can read it.
    """
    from ..viewers.tools.recording import Recorded, VideoRecorder, clock  # PyAV is optional

    with attach_to_look(name) as machine:
        check_console(machine, console)
    path = Path(file or time.strftime(f"{name}-%Y%m%d-%H%M%S.mp4"))
    ended: list[Recorded] = []
    recorder = VideoRecorder(name, console, path, ended.append, with_input=not no_input)
    shows = sys.stderr.isatty()
    try:
        deadline = time.monotonic() + seconds if seconds else float("inf")
        while time.monotonic() < deadline:
            if recorder.wait(min(_TICK_SECONDS, max(0.0, deadline - time.monotonic()))):
                break
            if shows:
                print(f"\rREC {clock(recorder.seconds)}", end="", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        recorder.stop()
    recorder.wait()
    if shows:
        print("\r\x1b[K", end="", file=sys.stderr)
    result = ended[0]
    if result.error or not result.playable:
        raise KjuError(result.words)
    print(one_line(str(result.path)))


def play(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A video, such as `kju record` makes.")
    ],
) -> None:
    """Play a recording in a window, with its input beside it."""
    from ..viewers.qt import play as show_player  # Qt takes 0.2 s to import

    show_player(file)
