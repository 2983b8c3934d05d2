"""The table of the commands: their groups in the help, their modules and their summaries.

The summaries stand here so that ``kju --help`` imports no command.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One command.

    Attributes:
        name: As it is typed. Its function has the same name; ``_`` follows one of Python's words.
        module: The module of its function, or of the `typer.Typer` with its own commands.
        summary: The first line of its help and of its function's documentation.
    """

    name: str
    module: str
    summary: str


class Section(NamedTuple):
    """One group of commands in ``kju --help``."""

    title: str
    example: str
    entries: tuple[Entry, ...]


SECTIONS = (
    Section(
        "Run",
        "kju run --detach disk.qcow2",
        (
            Entry("run", "run", "Start a machine from a disk, a CD or a kernel."),
            Entry("start", "defined", "Start a defined machine in the background."),
            Entry("stop", "power", "Shut a machine down, and end it if that fails."),
            Entry("pause", "power", "Pause a machine."),
            Entry("resume", "power", "Continue a paused machine."),
            Entry("reset", "power", "Reset a machine without asking its guest."),
            Entry("snapshot", "snapshots", "Save, load, list and remove snapshots."),
            Entry("demo", "demo", "Boot a guest, show it from a second process, and play."),
        ),
    ),
    Section(
        "See",
        "kju screenshot web screen.png",
        (
            Entry("screenshot", "screen", "Save the screen as a picture."),
            Entry("watch", "screen", "Show the screen in this terminal, and use the machine."),
            Entry("view", "screen", "Show the screen in a window, and use the machine there."),
            Entry("wait", "wait", "Wait until the screen shows something, and print its place."),
            Entry("needle", "needle", "Cut out a picture for `kju wait --image` to search for."),
        ),
    ),
    Section(
        "Drive",
        "kju type web 'uname -a' && kju key web ret",
        (
            Entry("key", "keyboard", "Press keys, one chord after another."),
            Entry("type", "keyboard", "Type text."),
            Entry("pointer", "pointer", "Move, click, drag and scroll with the pointer."),
            Entry("serial", "serial", "Connect this terminal to a machine's serial port."),
            Entry("qmp", "qmp", "Run a QMP command, and print its result as JSON."),
            Entry("inputs", "input_log", "Print the input of all clients as JSON lines."),
            Entry("replay", "input_log", "Repeat the input of a log, with its pauses."),
        ),
    ),
    Section(
        "Machines",
        "kju create web --image disk.qcow2 --memory 2G",
        (
            Entry("ls", "status", "List machines, or the screens on the network."),
            Entry("info", "status", "Print everything about a machine."),
            Entry("logs", "logs", "Print a machine's log."),
            Entry("events", "logs", "Print a machine's events."),
            Entry("create", "defined", "Define a machine, to be started by its name."),
            Entry("edit", "edit", "Edit a machine's definition."),
            Entry("clone", "defined", "Clone a machine, using copy-on-write disks."),
            Entry("rm", "defined", "Remove a defined machine."),
        ),
    ),
    Section(
        "Network",
        "kju mirror zenoh:lab/host1/web --connect host1:7447",
        (
            Entry("serve", "network", "Serve machines' screens on the network until Ctrl-C."),
            Entry("mirror", "network", "Mirror a remote screen, as a machine on this computer."),
            Entry("router", "network", "Forward messages between senders and viewers."),
            Entry("cert", "certificates", "Make and list keys and certificates."),
            Entry("trust", "certificates", "List the users here, or set one user's role."),
        ),
    ),
    Section(
        "Tools",
        "kju doctor",
        (
            Entry("doctor", "doctor", "Check this computer's setup and suggest fixes."),
            Entry("dump", "surface", "Print a surface's header, and its tiles by age."),
            Entry("completion", "completion", "Print a script that completes `kju` in a shell."),
        ),
    ),
)
ENTRIES = {entry.name: entry for section in SECTIONS for entry in section.entries}
