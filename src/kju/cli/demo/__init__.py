"""`kju demo`: a real guest, shown live from a second process, and played with.

One process launches the machine, presses keys and saves a picture; another one shows the screen,
and knows only the machine's name.
"""

from __future__ import annotations

import contextlib
import errno
import io
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from ... import extras
from ...client.launching import launch
from ...client.machine import Machine
from ...client.surface import Surface
from ...errors import FileError, KjuError, UsageError, WaitTimeoutError
from ...files import write_output
from ...guests import sample
from ..command import completing

_ROUNDS = 4
#: The sample guest's name for `find`.
_LINUX = "linux"
# By this step the guest shows something.
_PICTURE_AFTER = 4
#: Seconds between two checks that the viewer still runs.
_CHECK = 0.3


def demo(
    guest: Annotated[
        str,
        typer.Option(
            metavar="GUEST",
            help="invaders, linux, memtest, or an image's path.",
            autocompletion=completing(("invaders", _LINUX, "memtest")),
        ),
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
        bool, typer.Option("--remote", help="Show the screen and its mirror side by side.")
    ] = False,
    copy_to: Annotated[
        str, typer.Option(metavar="FILE", help="Only copy the guest linux to a qcow2 disk.")
    ] = "",
) -> None:
    """Start a guest, show it here and press keys in it.

    The guest linux has a login and a shell; its first use builds it from Debian packages.
    """
    if copy_to:
        _copy(guest, copy_to)
    else:
        _play(guest, seconds, remote=remote)


def _play(name: str, seconds: float, *, remote: bool = False) -> None:
    """Run the demo until the viewer is left, or time is up; nothing is left behind.

    Args:
        name: A guest of `guests`, or an image's path.
        seconds: 0 is until the viewer is left or, without a terminal, until all keys have been
            pressed once.
        remote: Mirror the machine across a network, play there, and show both screens.

    Raises:
        KjuError: The guest or an extra is missing, or the machine did not start.
    """
    if remote:
        extras.require("remote", "kju demo --remote")
    guest = _find_guest(name)
    player = None
    try:
        with _machine(guest) as machine, _stage(machine, remote=remote) as stage:
            player = _Player(stage, guest)
            try:
                with _viewer(stage.target) as viewer:
                    player.play(viewer, seconds)
            finally:
                player.save()
                if line := stage.summary():
                    print(line, flush=True)
    finally:
        # Ctrl+C is the usual end, so the farewell is printed for it too.
        if player is not None:
            _print_farewell(guest, player.saved)


def _copy(name: str, target: str) -> None:
    """Copy the sample guest's disk to a new file, and print how to log in.

    Raises:
        UsageError: *name* is not the sample guest.
        FileError: There is such a file already, or it cannot be written.
        GuestError: The sample guest cannot be built.
    """
    if name != _LINUX:
        raise UsageError(
            f"only the sample guest can be copied: --guest {_LINUX} --copy-to {target}"
        )
    sample.copy(Path(target), _print_progress)
    print(f"{target} is the sample guest: log in as root, without a password")


@contextlib.contextmanager
def _machine(guest: _Guest) -> Iterator[Machine]:
    print(f"starting {guest.title} in QEMU ({guest.image})", flush=True)
    with launch(guest.image, memory=guest.memory, args=guest.arguments) as machine:
        info = machine.info()
        print(
            f"  machine  {machine.name}, in {info['host']['folder']}\n"
            f"  host     process {info['host']['pid']}: fills the shared memory\n"
            f"  QEMU     process {info['qemu']['pid']}, {info['qemu']['version']},"
            f" on {info['accelerator']['name']}",
            flush=True,
        )
        yield machine


class _Stage(NamedTuple):
    """The machine that the demo uses, and its screen.

    Attributes:
        machine: Whose keys are pressed.
        target: Name or path for `kju watch`.
        screen: The screen of the picture.
        summary: Returns the last line; empty for none.
    """

    machine: Machine
    target: str
    screen: Surface
    summary: Callable[[], str]


@contextlib.contextmanager
def _stage(machine: Machine, *, remote: bool) -> Iterator[_Stage]:
    if not remote:
        yield _Stage(machine, machine.name, machine.screen, str)
        return
    from .remote import mirrored

    with mirrored(machine) as both, Surface(both.path) as surface:
        yield _Stage(both.mirror, str(both.path), surface, lambda: f"sent: {both.words()}")


@contextlib.contextmanager
def _viewer(target: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-P", "-m", "kju.cli", "watch", target]
    viewer = subprocess.Popen([*command, "--view-only", "--hint", "ends the demo"])
    try:
        if not sys.stdout.isatty():
            print(f"  viewer   process {viewer.pid}: a line per second", flush=True)
        yield viewer
    finally:
        # A second Ctrl+C must not interrupt the clean-up. (SIG_IGN would make Python print an error
        # if the signal has arrived already.)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        # The viewer resets the terminal before it ends.
        _end(viewer)


def _end(viewer: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        viewer.terminate()
        viewer.wait(5)
    viewer.kill()
    viewer.wait()


class _Player:
    """Presses keys and saves a picture.

    Attributes:
        saved: Path of the picture; empty before it is saved.
    """

    def __init__(self, stage: _Stage, guest: _Guest) -> None:
        self.saved = ""
        self._machine, self._screen = stage.machine, stage.screen
        self._guest = guest

    def play(self, viewer: subprocess.Popen[bytes], seconds: float) -> None:
        """Press keys until the viewer ends, or time is up."""
        forever = sys.stdout.isatty() or bool(seconds)
        end = time.monotonic() + seconds if seconds else float("inf")
        for number, act in enumerate(self._guest.acts(repeat=forever), 1):
            if act.shows and not self._shown(act.shows, viewer, end):
                return
            if _ends_within(viewer, min(act.after, end - time.monotonic())):
                return
            if time.monotonic() >= end:
                return
            self._press(act)
            if number == _PICTURE_AFTER:
                self.save()

    def _shown(self, text: str, viewer: subprocess.Popen[bytes], end: float) -> bool:
        """Wait for a text; return False if the viewer or the time ended first."""
        while viewer.poll() is None and time.monotonic() < end:
            with contextlib.suppress(WaitTimeoutError):
                self._machine.screen.wait_text(text, timeout=_CHECK)
                return True
        return False

    def _press(self, act: _Act) -> None:
        keys = self._machine.keyboard
        if act.text:
            keys.type(act.text)
        if act.hold:
            keys.press(act.key)
            time.sleep(act.hold)
            keys.release(act.key)
        elif act.key:
            keys.chord(act.key)

    def save(self) -> None:
        """Save a picture once, under a new name: a demo overwrites no file."""
        for number in range(1, 1000):
            if self.saved or not self._machine.is_alive:
                return
            path = Path(f"kju-demo-{number}.png" if number > 1 else "kju-demo.png")
            try:
                file = io.BytesIO()
                self._screen.screenshot(file)
                write_output(path, file.getvalue(), replace=False)
                self.saved = str(path.absolute())
            except (KjuError, OSError) as error:
                if isinstance(error, FileError) and error.errno == errno.EEXIST:
                    continue
                print(f"kju: no picture was saved: {error}", file=sys.stderr)
                return


def _ends_within(viewer: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        viewer.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        return False
    return True


def _print_farewell(guest: _Guest, saved: str) -> None:
    kju = _own_command()
    image, name = guest.image, Path(guest.image).stem
    lines = [f"a picture of it: {saved}"] if saved else []
    lines += ["try next:"]
    keys = "left spc"
    if guest.arguments:  # the copy is the user's own, with room for snapshots
        lines += [f"  {kju} demo --guest {_LINUX} --copy-to linux.qcow2"]
        image, keys = "linux.qcow2", "ret"
    lines += [
        f"  {kju} run --detach {image}",
        "  # Ctrl+] leaves the viewer; the machine keeps running",
        f"  {kju} watch {name}",
        f"  {kju} key {name} {keys}",
        f"  {kju} screenshot {name} screen.png",
        f"  {kju} stop {name}",
    ]
    print(
        "\nthe machine has ended; no process, socket or memory of it is left",
        *lines,
        sep="\n",
        flush=True,
    )


def _own_command() -> str:
    """Return the user's name for this program."""
    own = Path(sys.argv[0])
    if own.name != "kju":
        return "python -m kju.cli"
    found = shutil.which("kju")
    if found and Path(found).resolve() == own.resolve():
        return "kju"
    with contextlib.suppress(ValueError):
        return str(own.absolute().relative_to(Path.cwd()))
    return str(own)


class _Act(NamedTuple):
    """One step of the demo.

    Attributes:
        after: Seconds to wait first.
        key: Chord to press; empty for none.
        hold: Seconds to hold it; 0 for one stroke.
        shows: Text to wait for first; empty for none.
        text: Text to type; empty for none.
    """

    after: float
    key: str = ""
    hold: float = 0.0
    shows: str = ""
    text: str = ""


class _Guest(NamedTuple):
    """A guest, and the steps of its demo.

    Attributes:
        title: Its description.
        image: Path of its image.
        memory: Its memory.
        first: Steps at the beginning.
        then: Steps that are repeated.
        again: Steps between some rounds of those.
        arguments: QEMU's, besides those that the image and the memory make.
    """

    title: str
    image: str
    memory: str
    first: tuple[_Act, ...]
    then: tuple[_Act, ...]
    again: tuple[_Act, ...] = ()
    arguments: tuple[str, ...] = ()

    def acts(self, *, repeat: bool) -> Iterator[_Act]:
        """Yield the steps, once or without end."""
        yield from self.first
        yield from self.then
        while repeat:
            for _ in range(_ROUNDS):
                yield from self.then
            yield from self.again


def _shots(*keys: str) -> tuple[_Act, ...]:
    """Return moves with a shot after each."""
    return tuple(act for key in keys for act in (_Act(0.3, key, 0.35), _Act(0.1, "spc")))


#: Under TCG the game is on the screen after four seconds. Esc starts a new one, because the
#: invaders have landed after a minute.
_INVADERS = (_Act(5), _Act(0, "esc"))
_GAME = _shots(*["left"] * 4, *["right"] * 8, *["left"] * 4)
_LOOKING = (_Act(5), _Act(1, "shift"), _Act(1, "shift"), _Act(1, "shift"))

#: Each step waits for the prompt, so that the guest's speed does not matter.
_LOGIN = (_Act(0, shows="login:", text="root\n"),)
_SHELL = tuple(
    _Act(1, shows="root@kju:", text=f"{line}\n")
    for line in ("uname -a", "free -m", "cal", "ls /bin | head -n 20", "clear")
)

_MEMTEST = ("/boot/memtest86+x64.bin", "/boot/memtest86+.bin")


def _find_guest(name: str) -> _Guest:
    """Return the guest of this name, or one made of an image's path.

    The sample guest is built if it has not been before, with its progress on standard output.

    Raises:
        UsageError: It is missing; the message names its package.
        GuestError: The sample guest cannot be built.
    """
    if name == _LINUX:
        image = str(sample.build(_print_progress))
        # Several demos may run, and the disk stays as it was built.
        unchanged = ("-snapshot",)
        title = "a small Linux"
        return _Guest(title, image, sample.MEMORY, _LOGIN, _SHELL, arguments=unchanged)
    if name == "invaders":
        image = _first(("/boot/invaders.exec",), "grub-invaders")
        return _Guest("a game for text mode", image, "64M", _INVADERS, _GAME, (_Act(0.5, "esc"),))
    if name == "memtest":
        image = _first(_MEMTEST, "memtest86+")
        return _Guest("a memory test", image, "256M", _LOOKING, (_Act(2, "shift"),))
    if not Path(name).exists():
        raise UsageError(
            f"the image {name} does not exist; use a path, or invaders, linux or memtest"
        )
    return _Guest("your image", name, "1G", _LOOKING, (_Act(10, "shift"),))


def _print_progress(words: str) -> None:
    """Print one line of progress of building the sample guest."""
    print(f"sample guest: {words}", flush=True)


def _first(paths: tuple[str, ...], package: str) -> str:
    for path in paths:
        if Path(path).exists():
            return path
    raise UsageError(
        f"{paths[0]} is missing; on Debian install it with: apt install {package};"
        " or name an image of your own: --guest PATH"
    )
