"""What every command of the `kju` command line is made of. Imports typer and no more: see `cli`."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
import typer.core


class Command(typer.core.TyperCommand):
    """A command that clears remains first, and whose errors are one line and a code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  as the base class
        """Run it; an error ends with its line and its code."""
        from ..errors import KjuError
        from ..files import descriptor_limit
        from .exits import Exit, code_of, line_of
        from .tidy import tidy

        try:
            tidy()
            return super().invoke(ctx)
        except BrokenPipeError:  # whoever read us has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = Exit.OK
        except ImportError as missing:
            from .. import extras

            explained = extras.explain(missing)
            if explained is None:
                raise
            typer.echo(f"kju: {line_of(explained)}", err=True)
            code = code_of(explained)
        except (KjuError, OSError) as caught:
            limit = descriptor_limit(caught) if isinstance(caught, OSError) else None
            error = limit or caught
            typer.echo(f"kju: {line_of(error)}", err=True)
            code = code_of(error)
        except KeyboardInterrupt:
            code = Exit.INTERRUPTED
        raise typer.Exit(int(code))


Name = Annotated[str, typer.Argument(metavar="NAME", help="A running machine; see `kju ls`.")]
Target = Annotated[
    str, typer.Argument(metavar="NAME", help="A running machine, or a surface's path.")
]
DiskBus = Annotated[
    str,
    typer.Option(
        metavar="BUS",
        help="Put disks on ide, scsi, virtio, nvme, usb, sd or floppy (default: as QEMU does).",
    ),
]
TrustDisk = Annotated[
    bool,
    typer.Option(
        "--trust-disk", help="Let disks name files outside their folder and network addresses."
    ),
]
Console = Annotated[int, typer.Option(min=0, max=15, help="Which of the guest's screens.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, whose names are stable.")]
Seconds = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="Stop after SECONDS (0: never).")
]
