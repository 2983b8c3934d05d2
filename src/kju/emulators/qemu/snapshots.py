"""SHELL: snapshots of a whole machine, in its own disks, each with the screen and the input then.

Rules:

- A snapshot is begun only where it can be held and loaded: every writable disk must be able to.
  What is found wrong before that has changed nothing.
- Nothing is held down in one that is saved, whatever clients hold: when it is loaded they may have
  gone. A client that holds something when one is loaded does so no more.
- The guest stands still while one is saved or loaded, so that the picture is the snapshot's;
  afterwards it runs if it ran before.
- One that has been begun is taken to its end, whoever still waits for it: QEMU is at it.
- The picture and the input are extras: where they cannot be kept the snapshot counts all the same,
  and the answer says so.
- The input that is logged is the guest's own history: after a load it goes on from the snapshot's.
- A load ends when every surface shows what was loaded. A failed load leaves the guest paused:
  what it is then nobody can say.

Source:
    snapshot-save, snapshot-load, snapshot-delete: qapi/migration.json of QEMU. All three act on the
    disks they are given by node name, and hold QEMU's main loop until they are done.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct

from ...errors import GeometryError, KjuError, QemuError, UsageError
from ...protocol.input_log import Input, decode
from ...protocol.messages import TAG, Saved, Snapshots
from ...store import logs
from ...store.snapshot_files import SnapshotFiles
from .jobs import Jobs
from .screenshot import ScreenDumper, read_ppm

if TYPE_CHECKING:
    from ..console import Console
    from ..events import Tell
    from ..input.devices import Devices
    from ..input.keyboard import Keyboard
    from ..input.log import InputLog
    from .qmp import Qmp

log = logging.getLogger(__name__)

#: Until a surface shows what was loaded. A listener is told in QEMU's next tick of 30 ms, a mode
#: that may be a placeholder waits 0.3 s, a blanked screen is known after two looks 0.3 s apart.
SHOWN = 3.0
#: For a snapshot that is being saved when the machine is to end; a gigabyte takes some seconds.
PATIENCE = 30.0
#: Until QEMU's event says that the guest runs again; it comes with the answer.
RUNNING = 1.0


class Disk(NamedTuple):
    """A writable disk of the machine.

    Attributes:
        node: QEMU's name of it.
        title: For messages: its file and its format.
        file: Its path; empty where it is none.
        format: QEMU's name.
        saved: Its snapshots.
    """

    node: str
    title: str
    file: str
    format: str
    saved: dict[str, Saved]


class SnapshotStore:
    """The snapshots of one QEMU.

    Args:
        qmp: Leads to QEMU.
        jobs: Its jobs.
        consoles: Its screens, the first of which makes the pictures.
        folder: Where the machine is kept; empty for one that is not.
        inputs: The log of clients' input.
        tell: Is told what was done.
        temporary: Why a snapshot is lost when the machine ends; empty if it is not.
        keyboard: The machine's where it has no screen.
    """

    def __init__(
        self,
        qmp: Qmp,
        jobs: Jobs,
        consoles: Sequence[Console],
        folder: str,
        inputs: InputLog,
        tell: Tell,
        temporary: str = "",
        keyboard: Keyboard | None = None,
    ) -> None:
        self._qmp = qmp
        self._jobs = jobs
        self._consoles = consoles
        self._folder = folder
        self._inputs = inputs
        self._tell = tell
        self._temporary = temporary
        self._devices: list[Devices | Keyboard] = [console.devices for console in consoles]
        if keyboard is not None:
            self._devices.append(keyboard)
        self._dump = ScreenDumper(qmp, "")
        self._turn = asyncio.Lock()
        self._doing: set[asyncio.Task[Snapshots]] = set()

    async def listed(self) -> Snapshots:
        """All there are, oldest first.

        Raises:
            QemuError: QEMU does not answer.
        """
        disks = await self._disks()
        found: dict[str, Saved] = {}
        for disk in disks:
            for tag, saved in disk.saved.items():
                if saved.size or tag not in found:
                    found[tag] = saved
        for tag, saved in found.items():
            found[tag] = self._with_files(saved, disks)
        return Snapshots(number=0, snapshots=sorted(found.values(), key=lambda s: s.time))

    async def do(self, how: str, tag: str) -> Snapshots:
        """Save, load or remove one.

        Raises:
            UsageError: There is none of this name, or one already; or a disk cannot hold any.
            QemuError: QEMU could not do it.
        """
        work = {"save": self._save, "load": self._load, "remove": self._remove}[how]
        task = asyncio.create_task(self._in_turn(work, tag), name=f"snapshot-{how}")
        self._doing.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Snapshots]) -> None:
        self._doing.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # Whoever asked may have gone.
            log.info("%s: %s", task.get_name(), error)

    async def _in_turn(self, work: Callable[[str], Awaitable[Snapshots]], tag: str) -> Snapshots:
        async with self._turn:
            return await work(tag)

    async def settle(self) -> None:
        """Wait for what is being done, at most `PATIENCE`; the machine is about to end."""
        if self._doing:
            log.info("a snapshot is being saved or loaded: its end is waited for")
            await asyncio.wait(self._doing, timeout=PATIENCE)

    def close(self) -> None:
        """Give up what was lent to QEMU."""
        self._dump.close()

    # -- the three

    async def _save(self, tag: str) -> Snapshots:
        disks = self._able(await self._disks())
        if any(tag in disk.saved for disk in disks):
            raise UsageError(
                f"there is a snapshot {tag!r} already; remove it, or take another name"
            )
        async with self._nothing_down(), self._standing_still():
            picture, note = await self._picture()
            try:
                await self._run("snapshot-save", tag, disks)
            except QemuError as error:
                why = await self._too_full(disks)
                raise QemuError(f"{error}{why}; what was saved before is as it was") from error
        kept = await asyncio.to_thread(self._keep_files, tag, disks, picture)
        note = "; ".join(filter(None, (self._temporary, kept or note)))
        self._tell("snapshot-saved", {"tag": tag})
        found = next(saved for saved in (await self.listed()).snapshots if saved.tag == tag)
        return Snapshots(number=0, snapshots=[found], note=note)

    async def _load(self, tag: str) -> Snapshots:
        disks = self._able(await self._disks())
        saved = self._known(tag, disks)
        if saved.lacking or not saved.size:
            where = ", ".join(saved.lacking) or "it holds disks only"
            raise UsageError(f"the snapshot {tag!r} is not whole ({where}), and cannot be loaded")
        inputs, note = await asyncio.to_thread(_inputs_of, saved, self._files(disks))
        was_running = await self._stop()
        try:
            await self._run("snapshot-load", tag, disks)
        except QemuError as error:
            raise QemuError(
                f"{error}. The machine is paused, and what is in it may be half of each:"
                " load another snapshot, or reset it"
            ) from error
        for devices in self._devices:
            devices.forget()
        try:
            self._inputs.replace(inputs)
        except (KjuError, OSError) as error:
            note = f"the log of input still holds what came before the load: {error}"
        # Loaded it is, whatever comes of showing it.
        self._tell("snapshot-loaded", {"tag": tag})
        try:
            for console in self._consoles:
                await self._show(console)
        finally:
            if was_running:
                await self._qmp.execute("cont")
        return Snapshots(number=0, snapshots=[saved], note=note)

    async def _remove(self, tag: str) -> Snapshots:
        disks = await self._disks()
        saved = self._known(tag, disks)
        with_it = [disk for disk in disks if tag in disk.saved]
        await self._jobs.run(
            self._qmp, "snapshot-delete", {"tag": tag, "devices": [d.node for d in with_it]}
        )
        note = ""
        try:
            await asyncio.to_thread(self._files(disks).remove, tag)
        except (KjuError, OSError) as error:
            note = f"its picture and input are still there: {error}"
            log.warning("snapshot %s: %s", tag, note)
        self._tell("snapshot-removed", {"tag": tag})
        return Snapshots(number=0, snapshots=[saved], note=note)

    async def _run(self, command: str, tag: str, disks: list[Disk]) -> None:
        """Run a command on these disks; the first gets the memory, unless another has it."""
        with_memory = [d for d in disks if tag in d.saved and d.saved[tag].size]
        arguments: dict[str, object] = {
            "tag": tag,
            "vmstate": (with_memory or disks)[0].node,
            "devices": [disk.node for disk in disks],
        }
        await self._jobs.run(self._qmp, command, arguments)

    async def _too_full(self, disks: list[Disk]) -> str:
        """What there is to say of a disk's file system: QEMU says "Input/output error"."""
        with contextlib.suppress(KjuError, OSError, KeyError):
            memory = (await self._qmp.execute("query-memory-size-summary"))["base-memory"]
            for disk in disks:
                if disk.file:
                    found = os.statvfs(disk.file)
                    free = found.f_bavail * found.f_frsize
                    if free < memory:
                        return (
                            f". No space left, most likely: the file system of {disk.file} has"
                            f" {free >> 20} MiB, and a snapshot takes up to {memory >> 20}"
                        )
        return ""

    # -- the disks

    async def _disks(self) -> list[Disk]:
        """Every writable disk, in QEMU's order; a firmware's variables last."""
        return disks_of(await self._qmp.execute("query-block"))

    def _able(self, disks: list[Disk]) -> list[Disk]:
        """Return *disks* if they can hold a snapshot."""
        if not disks:
            raise UsageError(
                "this machine has no disk that could hold a snapshot; add a qcow2 disk"
                " (kju create NAME --disk 20G)"
            )
        if unable := [disk.title for disk in disks if disk.format != "qcow2"]:
            raise UsageError(
                f"{', '.join(unable)} cannot hold a snapshot: only qcow2 disks can;"
                " convert it with: qemu-img convert -O qcow2 OLD NEW, or give it as read-only"
            )
        return disks

    def _known(self, tag: str, disks: list[Disk]) -> Saved:
        found = [disk.saved[tag] for disk in disks if tag in disk.saved]
        if found:
            return self._with_files(max(found, key=lambda saved: saved.size), disks)
        tags = sorted({tag for disk in disks for tag in disk.saved})
        # A disk comes with tags of its own, whatever they hold.
        have = ", ".join(tag if re.search(TAG, tag) else ascii(tag) for tag in tags) or "none"
        raise UsageError(f"there is no snapshot {tag!r}; there are: {have}")

    def _with_files(self, saved: Saved, disks: list[Disk]) -> Saved:
        picture, inputs = self._files(disks).find(saved.tag)
        return Saved(
            tag=saved.tag,
            time=saved.time,
            size=saved.size,
            picture=picture,
            input=inputs,
            lacking=[disk.title for disk in disks if saved.tag not in disk.saved],
        )

    # -- standing still

    @contextlib.asynccontextmanager
    async def _nothing_down(self) -> AsyncIterator[None]:
        """Have no key and no button down: nobody would let go of it in the guest that is loaded."""
        async with contextlib.AsyncExitStack() as held:
            # Nobody types meanwhile. Consoles share these.
            for turn in {turn: None for devices in self._devices for turn in devices.turns}:
                await held.enter_async_context(turn)
            try:
                for devices in self._devices:
                    await devices.put_all(down=False)
                yield
            finally:
                await self._put_down()

    async def _put_down(self) -> None:
        """Have everything down again that clients hold; QEMU may still say that it is paused."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RUNNING
        for devices in self._devices:
            while True:
                try:
                    await devices.put_all(down=True)
                    break
                except KjuError as error:
                    if loop.time() > deadline:
                        log.warning("what is held is up in the guest: %s", error)
                        break
                    await asyncio.sleep(0.005)

    @contextlib.asynccontextmanager
    async def _standing_still(self) -> AsyncIterator[None]:
        was_running = await self._stop()
        try:
            yield
        finally:
            if was_running:
                await self._qmp.execute("cont")

    async def _stop(self) -> bool:
        """Stop the guest; returns whether it ran."""
        status = await self._qmp.execute("query-status")
        if not status.get("running"):
            return False
        try:
            await self._qmp.execute("stop")
        except QemuError:
            # It may do so later than it was waited for, and nobody would have it go on.
            with contextlib.suppress(QemuError):
                await self._qmp.execute("cont")
            raise
        return True

    # -- the picture

    async def _picture(self) -> tuple[np.ndarray[Any, Any] | None, str]:
        try:
            picture = await asyncio.to_thread(read_ppm, await self._dump.dump())
        except (KjuError, OSError, KeyError, TypeError) as error:
            return None, f"no picture: {error}"
        return picture, "" if picture is not None else "no picture: QEMU has no screen"

    def _files(self, disks: list[Disk]) -> SnapshotFiles:
        """What belongs to snapshots: with the machine, else beside its first disk."""
        return SnapshotFiles(self._folder, next((disk.file for disk in disks if disk.file), ""))

    def _keep_files(self, tag: str, disks: list[Disk], picture: np.ndarray[Any, Any] | None) -> str:
        """Write what belongs to a snapshot; returns why it could not be, if so."""
        files = self._files(disks)
        if files.place(tag) is None:
            return "no picture: the disk is no file to put it beside"
        try:
            png = None if picture is None else _png(picture)
            files.keep(tag, png, self._inputs.read())
        except (KjuError, OSError) as error:
            return f"neither picture nor input could be kept: {error}"
        return ""

    # -- showing what was loaded

    async def _show(self, console: Console) -> None:
        """Have a console's surface show what QEMU shows; the guest stands still."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SHOWN
        asker = object()
        console.runner.distrust()
        await console.attach(asker)
        try:
            while True:
                await console.refresh(sync=True)
                # Of others than the first QEMU makes no picture without a name.
                if console.index or await self._shows(console):
                    return
                if loop.time() > deadline:
                    log.warning("console %d does not show what was loaded", console.index)
                    return
                await asyncio.sleep(0.01)
        except (KjuError, OSError) as error:
            log.warning("console %d: what was loaded cannot be shown: %s", console.index, error)
        finally:
            console.detach(asker)

    async def _shows(self, console: Console) -> bool:
        dumped = await asyncio.to_thread(read_ppm, await self._dump.dump())
        if dumped is None or not console.producer.mode.epoch:
            return False
        try:
            here = console.producer.pixels
        except GeometryError:
            return False
        return here.shape[:2] == dumped.shape[:2] and np.array_equal(here[..., 2::-1], dumped)


_Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class _Snapshot(Struct, rename="kebab"):
    name: str
    vm_state_size: _Count = 0
    date_sec: _Count = 0
    date_nsec: _Count = 0


class _Image(Struct):
    filename: str = ""
    snapshots: list[_Snapshot] = []


class _Inserted(Struct, rename="kebab"):
    node_name: str
    drv: str = ""
    file: str = ""
    ro: bool = False
    image: _Image = msgspec.field(default_factory=_Image)


class _Block(Struct):
    device: str = ""
    inserted: _Inserted | None = None


def disks_of(blocks: object) -> list[Disk]:
    """Every writable disk in an answer to query-block; a firmware's variables last.

    Raises:
        QemuError: It is none.

    Source:
        BlockInfo and SnapshotInfo in qapi/block-core.json of QEMU.
    """
    try:
        found = msgspec.convert(blocks, list[_Block])
    except (msgspec.ValidationError, RecursionError) as error:
        said = str(blocks)[:100]
        raise QemuError(f"QEMU answered query-block with {said!r}: {error}"[:400]) from error
    ordered = sorted(found, key=lambda block: block.device.startswith("pflash"))
    return [_disk(b.inserted) for b in ordered if b.inserted and not b.inserted.ro]


def _disk(inserted: _Inserted) -> Disk:
    name = inserted.image.filename or inserted.file
    saved = {}
    for found in inserted.image.snapshots:
        when = found.date_sec + found.date_nsec / 1e9
        saved[found.name] = Saved(tag=found.name, time=when, size=found.vm_state_size)
    path = os.path.abspath(name) if name and os.path.isfile(name) else ""  # noqa: PTH100, PTH113
    return Disk(inserted.node_name, f"{name} ({inserted.drv})", path, inserted.drv, saved)


def _inputs_of(saved: Saved, files: SnapshotFiles) -> tuple[list[Input], str]:
    """The input until a snapshot, and what is wrong with its file, if anything."""
    if not saved.input:
        return [], ""
    try:
        # No log of ours is longer; the file may be anybody's, as its disk.
        return decode(files.inputs(saved.tag, 2 * logs.LIMIT)), ""
    except (KjuError, OSError) as error:
        return [], f"the log of input begins anew: {saved.input} cannot be read: {error}"


def _png(picture: np.ndarray[Any, Any]) -> bytes:
    from PIL import Image  # a machine that saves nothing has no use for it

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, format="PNG")
    return file.getvalue()
