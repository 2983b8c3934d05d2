"""A machine's snapshots and events, for programs with threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Self

from ..errors import ClosedError, MachineGoneError, WaitTimeoutError
from ..protocol.messages import Done, GetSnapshots, SnapshotList, Subscribe
from . import life
from .life import Event, Snapshot
from .link import Link
from .timeouts import DEFAULT_TIMEOUT, Timeout, deadline_of


class Snapshots:
    """The snapshots of one machine, in its own qcow2 disks."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def save(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Save the whole machine: its memory, its disks, its screen as a PNG.

        The guest stands still meanwhile and goes on afterwards, if it ran. With QEMU's -snapshot
        or snapshot=on the snapshot is lost when the machine ends; its ``note`` has this warning,
        and so has ``machine.info()["temporary"]`` before it is saved.

        Args:
            tag: A name that no other snapshot has.
            timeout: Seconds to wait; None for no limit. The default is `default_timeout` of the
                machine. QEMU writes the memory that the guest uses: 100 MB took 0.2 s. It goes on
                after a timeout.

        Raises:
            UsageError: There is one of this name, or a disk that cannot hold any.
            QemuError: QEMU could not; where a disk is full, that is the reason. What was saved
                before is as it was.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
            WaitTimeoutError: It has not been saved yet.
        """
        return self._do("save", tag, timeout)

    def load(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Go back to a snapshot. Every screen shows it when this returns.

        The guest runs afterwards if it ran before.

        Raises:
            UsageError: There is no such snapshot, or it is not whole; nothing has changed.
            QemuError: QEMU could not; the machine is paused then.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
            WaitTimeoutError: It has not been loaded yet.
        """
        return self._do("load", tag, timeout)

    def remove(self, tag: str, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Snapshot:
        """Remove a snapshot, with its picture.

        Raises:
            UsageError: There is no such snapshot.
            QemuError: QEMU could not.
            RoleError: This client only views.
            MachineGoneError: The machine has ended.
        """
        return self._do("remove", tag, timeout)

    def list(self) -> list[Snapshot]:
        """All there are, oldest first.

        Raises:
            MachineGoneError: The machine has ended.
        """
        reply = self._link.ask(GetSnapshots(), SnapshotList)
        return [life.snapshot(saved) for saved in reply.snapshots]

    def _do(self, how: str, tag: str, timeout: Timeout) -> Snapshot:
        request = life.snapshot_request(how, tag)
        reply = self._link.ask(request, SnapshotList, timeout=timeout)
        return life.snapshot(reply.snapshots[0], reply.note)


class Events(Iterator[Event]):
    """A machine's events, on a connection of their own: see `kju.Machine.events`.

    A program that takes none for long is hung up on there, and nowhere else. After an error, a
    timeout's too, the next one can be asked for.
    """

    def __init__(self, name: str, client: str, since: int | None, timeout: float | None) -> None:
        self._timeout = timeout
        self._link = Link.attach(name, "view", client)
        try:
            self._link.ask(Subscribe(since=-1 if since is None else since), Done)
        except BaseException:
            self._link.close()
            raise

    def __next__(self) -> Event:
        timeout = self._timeout
        deadline = deadline_of(timeout)
        try:
            return life.event(self._link.next_event(deadline))
        except WaitTimeoutError as error:
            why = f"nothing happened to {self._link.name!r} in {timeout:g} s"
            raise WaitTimeoutError(why) from error
        except (MachineGoneError, ClosedError):
            self.close()
            raise StopIteration from None

    def close(self) -> None:
        """Be told no more. A second call does nothing."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self._link.close()
