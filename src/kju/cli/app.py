"""The `kju` command line: names, options and help, and nothing else.

``kju --help`` answers within 150 ms, so this file imports typer and no more; each command
imports what does its work when it runs. typer's rich formatting stays off for the same
reason (it takes 60 ms to import).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from .command import Command as _Command
from .command import Console, DiskBus, Json, Name, Seconds, Target, TrustDisk
from .machine_cli import app as machine_commands
from .network_cli import app as network_commands

app = typer.Typer(
    name="kju",
    help="See and drive QEMU guests through shared memory.",
    epilog="The manual has the exit codes; a NAME with a slash in it is a surface's path.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def split_qemu_arguments(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part ``kju run`` or ``create`` from QEMU's arguments behind ``--``, whatever those look like.

    For ``run`` they may be Xvfb's.
    """
    if words and words[0] in ("run", "create") and "--" in words:
        at = list(words).index("--")
        return list(words[:at]), list(words[at + 1 :])
    return list(words), []


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"kju {__version__}")
        raise typer.Exit


@app.callback()
def kju(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """See and drive QEMU guests through shared memory."""


@app.command(cls=_Command)
def run(
    context: typer.Context,
    image: Annotated[str, typer.Argument(help="A disk, a CD or a kernel to boot.")] = "",
    name: Annotated[str, typer.Option(help="The machine's name (default: from the image's).")] = "",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Outlive this terminal.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show the screen here.")] = False,
    memory: Annotated[str, typer.Option("--memory", "-m", help="Such as 1G.")] = "",
    cpus: Annotated[int, typer.Option(min=0, help="Processors of the guest.")] = 0,
    disk_bus: DiskBus = "",
    trust_disk: TrustDisk = False,
    surface: Annotated[str, typer.Option(help="Put the screen in a named file.")] = "",
    qemu: Annotated[str, typer.Option(help="The QEMU to run.")] = "",
    xvfb: Annotated[bool, typer.Option("--xvfb", help="Run Xvfb in place of QEMU.")] = False,
    xvfb_at: Annotated[
        str,
        typer.Option(
            metavar="WHERE", help="Show a running Xvfb: :5, its -fbdir folder or sysv:ID."
        ),
    ] = "",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Start a machine. Words behind -- go to QEMU, or to Xvfb, unchanged."""
    from .start import Wish, run

    arguments = tuple(context.obj or ())
    wish = Wish(
        image,
        name,
        detach,
        memory,
        cpus,
        disk_bus,
        trust_disk,
        surface,
        qemu,
        log_level,
        arguments,
        xvfb_at or xvfb,
    )
    run(wish, watch=watch)


app.add_typer(machine_commands)
app.add_typer(network_commands)


@app.command(cls=_Command)
def info(name: Name, json: Json = False) -> None:
    """Print everything about a machine.

    Its screens and their sources, QEMU, what kju added to the arguments, and why.
    """
    from .manage import info

    info(name, json)


@app.command(cls=_Command)
def screenshot(
    name: Target,
    output: Annotated[str, typer.Option("--output", "-o", help="A file; - is standard output.")],
    console: Console = 0,
    cursor: Annotated[bool, typer.Option("--cursor", help="Draw the guest's cursor.")] = False,
) -> None:
    """Save the screen as a PNG."""
    from .look import screenshot

    screenshot(name, output, console, cursor)


@app.command(cls=_Command)
def watch(
    name: Target,
    console: Console = 0,
    seconds: Seconds = 0,
    json: Json = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="When a path's producer ends, wait for the next one.")
    ] = False,
    view_only: Annotated[bool, typer.Option("--view-only", help="Send no input.")] = False,
    layout: Annotated[
        str, typer.Option(help="The guest's keyboard layout, for terminals that send characters.")
    ] = "us",
    release_key: Annotated[
        str, typer.Option(help="The keys that grab the keyboard, and release it.")
    ] = "ctrl-alt",
    hint: Annotated[str, typer.Option(hidden=True)] = "leaves",
) -> None:
    """Show the screen in this terminal, and use the machine there. Ctrl+] leaves.

    In a pipe, and with --json, print one line a second about the screen. TERM, COLORTERM and
    NO_COLOR decide about colours; KJU_COLOURS=true, 256 or none overrides them.
    """
    from .look import watch

    watch(
        name, console, seconds, json, hint,
        follow=follow, view_only=view_only, layout=layout, release_key=release_key,
    )  # fmt: skip


@app.command(cls=_Command)
def view(
    name: Name,
    console: Console = 0,
    scale: Annotated[str, typer.Option(help="fit, shrink, integer or 1:1.")] = "fit",
    full_screen: Annotated[bool, typer.Option("--full-screen", "-f", help="Fill it.")] = False,
    view_only: Annotated[bool, typer.Option("--view-only", help="Send no input.")] = False,
    release_key: Annotated[
        str, typer.Option(help="The keys that grab the keyboard, and release it.")
    ] = "ctrl-alt",
) -> None:
    """Show the screen in a window, and use the machine there.

    Closing the window leaves the machine running.
    """
    from ..viewers.qt.view import view

    view(
        name,
        console=console,
        scale=scale,
        full_screen=full_screen,
        view_only=view_only,
        release_key=release_key,
    )


@app.command(cls=_Command)
def wait(
    name: Target,
    text: Annotated[str, typer.Option(help="Wait until this text can be read.")] = "",
    image: Annotated[
        list[str] | None,
        typer.Option(metavar="PNG", help="Wait until this needle, or one of several, is found."),
    ] = None,
    stable: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", show_default=False, help="Wait for SECONDS without a change."
        ),
    ] = -1,
    change: Annotated[bool, typer.Option("--change", help="Wait until any pixel changes.")] = False,
    colour: Annotated[
        str, typer.Option("--colour", "--color", help="Wait for #rrggbb, or a name.")
    ] = "",
    region: Annotated[str, typer.Option(metavar="X,Y,W,H", help="Where to look.")] = "",
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="X,Y,W,H", help="--stable: ignore changes here.")
    ] = None,
    similarity: Annotated[
        float,
        typer.Option(
            min=0, max=1, show_default=False, help="--image: 1 is equal (default: the needle's)."
        ),
    ] = 0,
    share: Annotated[float, typer.Option(help="--colour: this share of the pixels, to 1.")] = 1,
    tolerance: Annotated[int, typer.Option(help="--colour: largest difference, 0 to 255.")] = 0,
    timeout: Annotated[
        float, typer.Option(min=0, help="Wait at most SECONDS (0: without limit).")
    ] = 60,
    save_on_timeout: Annotated[
        str, typer.Option(metavar="PNG", help="Save the last screen with notes here.")
    ] = "",
    console: Console = 0,
    json: Json = False,
) -> None:
    """Wait until the screen shows something, and print its place.

    A text cursor that blinks is no change to --stable.
    """
    from .wait import Wanted, wait

    wanted = Wanted(
        text,
        image or (),
        stable,
        change,
        colour,
        region,
        ignore or (),
        similarity,
        share,
        tolerance,
    )
    wait(name, wanted, console, timeout, save_on_timeout, json)


@app.command(cls=_Command)
def needle(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A machine, a surface's path, or a PNG.")
    ],
    output: Annotated[str, typer.Option("--output", "-o", help="The needle's PNG.")],
    at: Annotated[str, typer.Option(metavar="X,Y,W,H", help="The rectangle to cut out.")],
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="X,Y,W,H", help="A rectangle to ignore.")
    ] = None,
    click: Annotated[
        str, typer.Option(metavar="X,Y", help="The place to click (default: its middle).")
    ] = "",
    similarity: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            show_default=False,
            help="The least similarity of a match (default: 0.95).",
        ),
    ] = 0,
    console: Console = 0,
) -> None:
    """Cut out a picture for `kju wait --image` to look for.

    All areas and the click are in pixels of the screen.
    """
    from .wait import needle

    needle(name, output, at, exclude or (), click, similarity, console)


def _list_keys(wanted: bool) -> None:
    if wanted:
        from .press import list_keys

        list_keys()
        raise typer.Exit


@app.command(cls=_Command)
def key(
    name: Name,
    chords: Annotated[list[str], typer.Argument(help="Such as ctrl-alt-f2, ret or a.")],
    console: Console = 0,
    listed: Annotated[
        bool,
        typer.Option(
            "--list",
            help="List the names of all keys and exit.",
            is_eager=True,
            callback=_list_keys,
        ),
    ] = False,
) -> None:
    """Press keys, one chord after another.

    QEMU's names, Linux's (KEY_ENTER), X11's (Control_L), browsers' (ArrowUp) and usual short ones
    are known.
    """
    from .press import key

    key(name, chords, console)


@app.command("type", cls=_Command)
def type_(
    name: Name,
    text: Annotated[str, typer.Argument(help="A text; - reads standard input.")],
    layout: Annotated[str, typer.Option("--layout", help="The layout the guest is set to.")] = "us",
    boot_command: Annotated[
        bool,
        typer.Option("--boot-command", help="Read TEXT as Packer does: <wait5><esc>auto<enter>."),
    ] = False,
    console: Console = 0,
) -> None:
    """Type text."""
    from .press import type_text

    type_text(name, text, layout, console, boot_command)


@app.command(cls=_Command)
def pointer(
    name: Name,
    action: Annotated[str, typer.Argument(help="move, click, drag, wheel, press or release.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(help="Pixels X Y (drag: several), notches, or the name of a button."),
    ] = None,
    button: Annotated[str, typer.Option(help="left, middle, right, side or extra.")] = "left",
    count: Annotated[int, typer.Option(min=1, max=3, help="2 is a double click.")] = 1,
    console: Console = 0,
) -> None:
    """Use the pointer."""
    from .press import use_pointer

    use_pointer(name, action, words or [], button, count, console)


@app.command(cls=_Command)
def inputs(
    name: Name,
    output: Annotated[str, typer.Option("--output", "-o", help="A file; - prints it.")] = "-",
) -> None:
    """Print what all clients have typed and clicked, with times, as JSON lines.

    `kju replay` does it again. What was typed may be a password.
    """
    from .press import inputs

    inputs(name, output)


@app.command(cls=_Command)
def replay(
    name: Name,
    path: Annotated[str, typer.Argument(help="A log of `kju inputs`; - reads it.")],
    speed: Annotated[float, typer.Option(help="2 is twice as fast.")] = 1.0,
) -> None:
    """Repeat the input of a log, with the times between."""
    from .press import replay

    replay(name, path, speed)


@app.command(cls=_Command)
def logs(
    name: Name,
    qemu: Annotated[
        bool, typer.Option("--qemu", "--xvfb", help="Print the output of QEMU or Xvfb instead.")
    ] = False,
) -> None:
    """Print a machine's log."""
    from .manage import logs

    logs(name, qemu)


@app.command(cls=_Command)
def doctor(json: Json = False) -> None:
    """Check this computer, and print the command that installs each missing part."""
    from .doctor import doctor

    doctor(json)


@app.command(cls=_Command)
def dump(
    path: Annotated[str, typer.Argument(help="A surface: a path, posix:/NAME or sysv:ID.")],
    json: Json = False,
) -> None:
    """Print a surface's header, and a picture of its tiles by age."""
    from .look import dump

    dump(path, json)


@app.command(cls=_Command)
def demo(
    guest: Annotated[
        str, typer.Option(help="invaders, linux, memtest, or an image's path.")
    ] = "invaders",
    seconds: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Stop after SECONDS (0: never; in a pipe: after one round).",
        ),
    ] = 0,
    remote: Annotated[
        bool, typer.Option("--remote", help="Across a network: both screens side by side.")
    ] = False,
    copy_to: Annotated[
        str, typer.Option(metavar="FILE", help="Only copy the guest linux to a qcow2 disk.")
    ] = "",
) -> None:
    """Boot a real guest, show it from a second process, and play.

    The guest linux has a login and a shell. It is built from Debian packages when it is first used.
    """
    from .demo import copy_guest, demo

    if copy_to:
        copy_guest(guest, copy_to)
        return
    demo(guest, seconds, remote=remote)
