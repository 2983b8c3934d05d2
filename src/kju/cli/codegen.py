"""`kju codegen`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from ..codegen.forms import STYLES, Style
from ..errors import UsageError
from ..escaping import one_line
from .command import AnyName, Console, Seconds, completing


def codegen(
    name: AnyName = "",
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="A new file (default: print)."),
    ] = "",
    style: Annotated[
        str,
        typer.Option(
            metavar="STYLE", help=f"{', '.join(STYLES)}.", autocompletion=completing(STYLES)
        ),
    ] = "script",
    layout: Annotated[
        str, typer.Option(metavar="LAYOUT", help="The guest's keyboard layout.")
    ] = "us",
    language: Annotated[
        str, typer.Option(metavar="LANG", help="Tesseract's name of the screen's language.")
    ] = "eng",
    passwords: Annotated[
        bool, typer.Option("--passwords", help="Write passwords into the script.")
    ] = False,
    console: Console = 0,
    seconds: Seconds = 0,
) -> None:
    """Record what you do in a machine as a Python script.

    Use the machine in its window (`kju view NAME`) or terminal. Each step is shown here, and Ctrl+C
    ends the recording. The script's images are saved in a folder beside it.
    """
    chosen = _style(style)
    from ..codegen.recorder import POLL, Recorder  # NumPy, Pillow and the client take time

    target = Path(output) if output else None
    recorder = Recorder(
        name, _show, output=target, console=console, style=chosen, layout=layout,
        language=language, passwords=passwords,
    )  # fmt: skip
    print(f"recording {one_line(name)} until Ctrl+C; use it with: kju view {name}", file=sys.stderr)
    deadline = time.monotonic() + seconds if seconds else float("inf")
    try:
        while time.monotonic() < deadline and recorder.end_reason is None:
            recorder.poll()
            time.sleep(POLL)
    except KeyboardInterrupt:
        pass
    finally:
        source = recorder.finish()
    for note in recorder.script.notes:
        print(f"note: {one_line(note)}", file=sys.stderr)
    if reason := recorder.end_reason:
        print(f"the recording ended: {one_line(reason)}", file=sys.stderr)
    if target is None:
        print(source, end="")
    else:
        print(one_line(str(target)))


def _style(word: str) -> Style:
    """Return a style of scripts.

    Raises:
        UsageError: It is unknown.
    """
    for known in STYLES:
        if word == known:
            return known
    raise UsageError(f"no style {word!r}; choose one of: {', '.join(STYLES)}")


def _show(lines: list[str]) -> None:
    for line in lines:
        print(one_line(line), file=sys.stderr, flush=True)
