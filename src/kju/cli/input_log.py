"""`kju inputs` and `kju replay`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..bounded import read_file
from ..client.launching import attach
from ..files import write_output
from ..protocol.input_log import decode, encode
from .parameters import AnyName, Name

#: Bytes of a log of input.
MAX_LOG = 64 << 20


def inputs(
    name: AnyName = "",
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Output file (-: print).")
    ] = "-",
) -> None:
    """Print the input of all clients as JSON lines.

    Each line has its time; `kju replay` repeats them. Typed text may include passwords.
    """
    with attach(name) as machine:
        text = b"".join(encode(entry) for entry in machine.input_log())
    if output == "-":
        sys.stdout.buffer.write(text)
    else:
        write_output(output, text)


def replay(
    name: Name,
    path: Annotated[
        str, typer.Argument(metavar="FILE", help="A log of `kju inputs` (-: standard input).")
    ],
    speed: Annotated[float, typer.Option(metavar="FACTOR", help="Speed (2: twice as fast).")] = 1.0,
) -> None:
    """Repeat the input of a log, with its pauses."""
    entries = decode(sys.stdin.buffer.read() if path == "-" else read_file(path, MAX_LOG))
    with attach(name) as machine:
        machine.replay(entries, speed=speed)
