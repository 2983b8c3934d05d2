"""Machines for programs with threads: launch one, attach to one, look and type.

Everything here may be used from any thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from ..errors import KjuError, MachineGoneError, PowerButtonError, WaitTimeoutError
from ..protocol.input_log import Input
from ..protocol.launch_options import Launch, LaunchOptions, takes
from ..protocol.messages import (
    Done,
    Executed,
    GetInfo,
    GetSerial,
    Info,
    Power,
    SerialHandle,
    Stop,
    Welcome,
)
from ..protocol.values import Role
from ..remote.addresses import SCHEME
from ..store import claims
from ..store.paths import check_name, local_network
from ..surface import NOTHING_TAKEN, Mark
from . import life, replaying, requests
from .keyboard import Keyboard
from .link import Link, only_descriptor
from .machine_base import MachineBase
from .pointer import Pointer
from .requests import check_reply
from .screen import Screen, Screens
from .snapshots import Events, Snapshots
from .timeouts import DEFAULT_TIMEOUT, Timeout, seconds_of

if TYPE_CHECKING:
    import subprocess

#: Seconds for a host to start: QEMU's version (0.04), once a day the accelerator (2), and
#: QEMU itself, which may have to allocate a large guest's memory (the host's own limit is 120).
START = 150.0
#: Seconds for a machine to end: QEMU writes out its disks (the host's own limits come to 34).
END = 45.0


def client_name() -> str:
    """What the host's list of clients calls this program."""
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"


class Machine(MachineBase[Link, Screen, Keyboard, Pointer]):
    """One running machine. Use it as a context manager, or `close` it.

    Attributes:
        name: Its name.
        role: What this client may do: ``view`` or ``control``.
        screens: What its consoles show, a `Sequence` of `Screen`.
        owned: Whether the machine ends when this object is closed or this program ends.
    """

    screens: Screens

    def __init__(self, link: Link, child: subprocess.Popen[bytes] | None = None) -> None:
        """Use `launch` or `attach`."""
        super().__init__(link, Screens(link, link.welcome.consoles), Keyboard, Pointer, child)

    def info(self) -> dict[str, Any]:
        """Everything about the machine: plain maps, lists, numbers and text.

        Raises:
            MachineGoneError: It has ended.
        """
        return self._link.ask(GetInfo(), Info).info

    def wait_ended(self, *, timeout: Timeout = DEFAULT_TIMEOUT) -> str:
        """Wait for the machine to end, and return the reason.

        Args:
            timeout: Seconds; None for no limit. The default is `default_timeout`.

        Raises:
            WaitTimeoutError: It is still running.
        """
        seconds = seconds_of(timeout, self.default_timeout)
        if not self._link.wait_ended(seconds):
            raise requests.still_running(self.name, seconds)
        return str(self.end_reason)

    @property
    def snapshots(self) -> Snapshots:
        """The machine's snapshots."""
        return Snapshots(self._link)

    def pause(self) -> None:
        """Stop the guest's processors. Fine if they stand still already.

        Raises:
            RoleError: This client only views.
            MachineGoneError: It has ended.
        """
        self._link.ask(Power(how="pause"), Done)

    def resume(self) -> None:
        """Let the guest's processors run. Fine if they do.

        Raises:
            RoleError: This client only views.
            MachineGoneError: It has ended.
        """
        self._link.ask(Power(how="resume"), Done)

    def reset(self) -> None:
        """Reset the machine, as its button does: the guest is not asked.

        Raises:
            RoleError: This client only views.
            MachineGoneError: It has ended.
        """
        self._link.ask(Power(how="reset"), Done)

    def qmp(self, command: str, /, **arguments: Any) -> Any:  # noqa: ANN401  QMP is JSON
        """Have QEMU run one QMP command; returns what that returns.

        Args:
            command: Such as ``query-status``.
            arguments: Names as QMP has them: ``machine.qmp("eject", **{"id": "cd0"})``.

        Raises:
            QemuError: QEMU refused.
            RoleError: This client only views.
            MachineGoneError: It has ended.
        """
        return json.loads(self._link.ask(life.execute(command, arguments), Executed).value)

    def serial(self) -> socket.socket:
        """The serial port that kju has added, as a connected stream socket; close it.

        It begins with the last that the guest has said, at most 128 KiB. What a client of the
        control role sends goes to the guest. It ends with the machine, and with this object.

        Raises:
            UsageError: The serial port is the user's own, or there is none.
            MachineGoneError: It has ended.
        """
        descriptor = only_descriptor(self._link.call(GetSerial()), SerialHandle)
        return socket.socket(fileno=descriptor)

    def events(self, since: int | None = None, *, timeout: Timeout = None) -> Events:
        """Iterate over the machine's events, from this call on, until the machine ends.

        Args:
            since: Begin with the events after this number, of the last 256; 0 for all of them.
                By default only new events.
            timeout: Seconds to wait for each event; None, the default, for no limit.

        Returns:
            An iterator of `Event`. Close it, or drop it, to end the subscription.

        Raises:
            WaitTimeoutError: No event came within *timeout*.
            MachineGoneError: It has ended already.
        """
        seconds = seconds_of(timeout, self.default_timeout)
        return Events(self.name, client_name(), since, seconds)

    def shutdown(self, *, timeout: Timeout = DEFAULT_TIMEOUT) -> bool:
        """Press the guest's power button; end the machine if it has not shut down in time.

        A guest that cannot receive the press (ACPI is off in it) is ended at once.

        Args:
            timeout: Seconds for the guest to shut down; None for no limit. The default is
                `default_timeout`.

        Returns:
            True if the guest shut down by itself, False if the machine was ended.

        Raises:
            RoleError: This client only views.
            MachineError: It has not ended.
        """
        try:
            self.powerdown()
        except PowerButtonError:
            self.stop()
            return False
        except MachineGoneError:
            pass
        if by_itself := self._link.wait_ended(seconds_of(timeout, self.default_timeout)):
            self._reap()
        else:
            self.stop()
        return by_itself

    def input_log(self) -> list[Input]:
        """What all clients have typed and done with the pointer so far, oldest first.

        Of very much the oldest part is forgotten.

        Raises:
            RoleError: This client only views.
            MachineGoneError: The machine has ended, and its log with it.
        """
        return replaying.read(self)

    def replay(self, entries: Iterable[Input], *, speed: float = 1.0) -> Mark:
        """Do again what a log says, with the times between.

        Args:
            entries: As of `input_log`, this machine's or another's.
            speed: 2 is twice as fast. A guest that is slower is waited for.

        Returns:
            The screen's mark before the last of it.

        Raises:
            UsageError: *speed* is not above 0.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        began, mark = time.monotonic(), NOTHING_TAKEN
        for at, request in replaying.due(entries, speed):
            time.sleep(max(0.0, began + at - time.monotonic()))
            mark = requests.mark_of(self._link.ask(request, Done))
        return mark

    def powerdown(self) -> None:
        """Press the guest's power button; what follows is up to the guest.

        Raises:
            PowerButtonError: The guest cannot receive it; nothing was pressed. Known on x86 boards
                only, from ACPI's registers.
            RoleError: This client only views.
            MachineGoneError: It has ended.
        """
        self._link.ask(Stop(how="powerdown"), Done)

    def stop(self) -> None:
        """End the machine, and return when it has ended. Fine if it has already.

        QEMU writes out its disks; the guest is not asked.

        Raises:
            RoleError: This client only views.
            MachineError: It has not ended in 45 s.
        """
        with contextlib.suppress(MachineGoneError):
            self._link.ask(Stop(), Done)
        if not self._link.wait_ended(END):
            raise requests.not_ended(self.name, END, self.log)
        self._reap()

    def close(self) -> None:
        """Let go of the machine. An owned one ends, and has ended when this returns."""
        self.screens.close()
        self._link.close()
        self._reap()

    def _reap(self) -> None:
        if self._child is not None:
            from .start import reap

            reap(self._child, END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@takes(LaunchOptions)
def launch(
    image: str | os.PathLike[str] | None = None, **options: Unpack[LaunchOptions]
) -> Machine:
    """Start a machine and attach to it with the control role.

    Args:
        image: A disk, a CD (``.iso``) or a kernel.
        **options: See `kju.protocol.launch_options.LaunchOptions`.

    Raises:
        UsageError: The image cannot be read or is compressed, a disk names files that it may not,
            or a value is not allowed.
        ConflictError: Arguments contradict each other, or what kju needs.
        MachineExistsError: The name is taken.
        QemuError: No usable QEMU was found, or it did not start; its own message is included.
        XvfbError: The same for Xvfb; or the running one does not share its screen, or the screen
            is not 24 bits deep.
    """
    if name := options.get("name"):
        check_name(name)
    return launched(requests.launch_request(image, client_name(), options))


def mirror(
    address: str,
    *,
    connect: Sequence[str] = (),
    name: str | None = None,
    role: Role = "control",
    user: str | None = None,
    trust: str | os.PathLike[str] | None = None,
    audience: bool = False,
    lossy: bool = False,
    codec: str | None = None,
    sender: str | None = None,
    insecure: bool = False,
    surface: str | os.PathLike[str] | None = None,
    detach: bool = False,
    log_level: str = "info",
) -> Machine:
    """Mirror a screen that is served elsewhere: a machine here that shows and drives it.

    Its screen is kept equal, and says that it is stale while the link is down; what is typed
    and clicked goes there. Everything that looks at machines looks at mirrors.

    Args:
        address: ``zenoh:lab/host1/debian``; `kju.serving.server.find` lists them.
        connect: Where its sender or a router listens: ``HOST:PORT``; by default what this user
            serves on this computer.
        name: What to call the mirror; by default the last part of the address.
        role: ``control``, or ``view`` to look only.
        user: Who this is, where the sender asks.
        trust: The folder with certificates and keys; with a user by default this user's own.
        audience: Look only, as one of many to whom all is sent once, however many they are.
        lossy: What is like a photograph may come as JPEG first; it is exact soon after it rests.
        codec: ``zstd``, ``lz4`` or ``raw``; by default the one with the fewest bytes, `zstd`.
        sender: The name that the sender's certificate must have, as `kju cert show` lists it there.
            By default the sender that was known of this screen before; the first one is remembered
            in the trust folder. Another key than the remembered one is refused in either case.
        insecure: Connect to other computers without encryption.
        surface: As for `launch`.
        detach: The mirror goes on when this program ends.
        log_level: As for `launch`.

    Raises:
        UsageError: The address is none, or something would leave this computer unprotected.
        UnavailableError: Nobody serves this screen, or not to us; the message says which.
        MissingError: zenoh is not installed, or what reads the codec.
    """
    request = requests.mirror_request(
        address,
        connect=connect or [local_network()],
        name=check_name(name) if name else None,
        role=role,
        user=user or "",
        trust=trust,
        audience=audience,
        lossy=lossy,
        codec=codec or "",
        sender=sender or "",
        insecure=insecure,
        surface=Path(surface) if surface else None,
        detach=detach,
        log_level=log_level,
        client=client_name(),
    )
    return launched(request)


def launched(request: Launch) -> Machine:
    """Start a machine as a message says, and attach to it with the control role.

    Raises:
        KjuError: It did not start; see `launch`.
    """
    claims.sweep()
    from .start import start_host  # what it imports is for those who start something

    child, sock = start_host()
    link = Link(sock, request.machine)
    try:
        reply, _ = link.call(request, START)
        link.welcome = check_reply(reply, Welcome)
        link.name = link.welcome.machine
    except BaseException as error:
        if isinstance(error, KjuError) and not isinstance(error, WaitTimeoutError):
            # It hangs up when everything has been taken down: the name is free again then.
            link.wait_ended(END)
        link.close()
        child.wait()
        if isinstance(error, MachineGoneError):
            raise requests.host_failed(child.returncode) from error
        raise
    if request.detach:
        # The process we started has passed the machine on to a child of its own.
        child.wait()
    return Machine(link, None if request.detach else child)


def attach(name: str, role: Role = "control") -> Machine:
    """Attach to a running machine. Its end is not tied to this program's.

    Args:
        name: The machine's name; `machines` lists them. Or a screen on the network
            (``zenoh:lab/host1/debian``): a mirror of it that ends with this program.
        role: ``control``, or ``view`` to look only.

    Raises:
        UsageError: The name or the role is impossible.
        MachineNotFoundError: None of this name runs.
        MachineGoneError: It ended at this moment.
    """
    if name.startswith(SCHEME):
        return mirror(name, role=role)
    return Machine(Link.attach(name, requests.check_role(role), client_name()))
