"""The commands about machines and their life: names, options and help, and nothing else."""

from __future__ import annotations

from typing import Annotated

import typer

from .command import Command, DiskBus, Json, Name, Seconds, TrustDisk

app = typer.Typer()
snapshots = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Kept = Annotated[str, typer.Argument(metavar="NAME", help="A machine that is kept; see `kju ls`.")]
Tag = Annotated[str, typer.Argument(metavar="TAG", help="The snapshot's name.")]


@app.command(cls=Command)
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The machine's name.")],
    image: Annotated[str, typer.Option(help="A disk, a CD or a kernel; not copied.")] = "",
    disk: Annotated[str, typer.Option(metavar="SIZE", help="Make a new disk, such as 20G.")] = "",
    memory: Annotated[str, typer.Option("--memory", "-m", help="Such as 1G.")] = "",
    cpus: Annotated[int, typer.Option(min=0, max=1024, help="Processors of the guest.")] = 0,
    disk_bus: DiskBus = "",
    trust_disk: TrustDisk = False,
    firmware: Annotated[str, typer.Option(help="bios, uefi or a file.")] = "bios",
    qemu: Annotated[str, typer.Option(help="The QEMU to run.")] = "",
) -> None:
    """Keep a machine, to be started by its name. Words behind -- go to QEMU, unchanged."""
    from .keep import Wish, create

    arguments = tuple(context.obj or ())
    wish = Wish(image, disk, memory, cpus, disk_bus, trust_disk, firmware, qemu, arguments)
    create(name, wish)


@app.command(cls=Command)
def edit(name: Kept) -> None:
    """Edit a machine's definition.

    $VISUAL or $EDITOR is started; what it leaves is checked before it counts.
    """
    from .edit import edit

    edit(name)


@app.command(cls=Command)
def clone(
    name: Kept, new: Annotated[str, typer.Argument(metavar="NEW", help="The clone's name.")]
) -> None:
    """Keep a copy of a machine that holds what differs.

    The first machine is not started any more while there is a copy.
    """
    from .keep import clone

    clone(name, new)


@app.command(cls=Command)
def rm(name: Kept) -> None:
    """Remove a machine that is kept.

    The disks and snapshots in its folder go with it; disks elsewhere stay.
    """
    from .keep import rm

    rm(name)


@app.command(cls=Command)
def ls(
    json: Json = False,
    remote: Annotated[bool, typer.Option("--remote", help="Screens on the network.")] = False,
    connect: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="Connect to a sender or a router there."),
    ] = None,
    user: Annotated[str, typer.Option(help="Your user name there; see `kju cert take`.")] = "",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Ask other computers unencrypted.")
    ] = False,
) -> None:
    """List the machines that run, and those that are kept; or the screens on the network."""
    if remote or connect:
        from .network import ls as ls_remote

        ls_remote(connect or [], user, insecure, json)
        return
    from .manage import ls

    ls(json)


@app.command(cls=Command)
def start(
    name: Kept,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show the screen here.")] = False,
) -> None:
    """Start a machine that is kept; it outlives this terminal."""
    from .keep import start

    start(name, watch)


@app.command(cls=Command)
def stop(
    name: Name,
    now: Annotated[bool, typer.Option("--now", help="End it without the power button.")] = False,
    powerdown: Annotated[
        bool,
        typer.Option("--powerdown", help="Press the power button, and never end it otherwise."),
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="Wait SECONDS for the guest to shut down."),
    ] = 30,
) -> None:
    """End a machine.

    Presses its power button; a guest that cannot receive it, or has not shut down in time, is
    ended.
    """
    from .power import stop

    stop(name, now, powerdown, timeout)


@app.command(cls=Command)
def pause(name: Name) -> None:
    """Pause a machine."""
    from .power import pause

    pause(name)


@app.command(cls=Command)
def resume(name: Name) -> None:
    """Continue a paused machine."""
    from .power import resume

    resume(name)


@app.command(cls=Command)
def reset(name: Name) -> None:
    """Reset a machine without asking its guest."""
    from .power import reset

    reset(name)


@app.command(cls=Command)
def console(name: Name, seconds: Seconds = 0) -> None:
    """Show a machine's serial port here, and type into it.

    Ctrl-] ends it, and the machine goes on. In a pipe, standard input goes to the guest. The
    guest's output is passed to this terminal unchanged, escape sequences included.
    """
    from .serial import console

    console(name, seconds)


@app.command(cls=Command)
def qmp(
    name: Name,
    command: Annotated[str, typer.Argument(help="Such as query-status.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="A JSON object, or KEY=VALUE.")
    ] = None,
) -> None:
    """Run a QMP command; prints what QEMU returns, as JSON.

    A VALUE that is JSON is that; any other is a text.
    """
    from .power import qmp

    qmp(name, command, arguments or [])


@app.command(cls=Command)
def events(
    name: Name,
    json: Json = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new events until the machine ends.")
    ] = False,
    since: Annotated[int, typer.Option(min=0, help="Only those after this number.")] = 0,
) -> None:
    """Print the events of a machine.

    The last 256 events, one a line; the manual lists them.
    """
    from .power import events

    events(name, json, follow, since)


@snapshots.command("save", cls=Command)
def save(name: Name, tag: Tag) -> None:
    """Save the machine's memory, disks and screen."""
    from .snapshots import save

    save(name, tag)


@snapshots.command("load", cls=Command)
def load(name: Name, tag: Tag) -> None:
    """Go back to a snapshot."""
    from .snapshots import load

    load(name, tag)


@snapshots.command("ls", cls=Command)
def list_(name: Name, json: Json = False) -> None:
    """List a machine's snapshots, oldest first."""
    from .snapshots import list_

    list_(name, json)


@snapshots.command("rm", cls=Command)
def remove(name: Name, tag: Tag) -> None:
    """Remove a snapshot."""
    from .snapshots import remove

    remove(name, tag)


app.add_typer(snapshots, name="snapshot", help="Save, load, list and remove snapshots.")
