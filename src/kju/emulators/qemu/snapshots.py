"""SHELL: saving, loading and removing snapshots, each with the screen and the input of its time.

- A snapshot is begun only if it can be held and loaded: every writable disk must be able to.
  An error before that has changed nothing.
- A saved snapshot has no keys or buttons down, whatever clients hold: by the time it is loaded they
  may have disconnected. A load ends what clients hold.
- The guest is paused while one is saved or loaded, so that the picture is the snapshot's.
  Afterwards it runs if it ran before.
- An operation is completed even if its client disconnects: QEMU cannot stop it.
- The picture, the input and the parent are extras: a snapshot without them is valid, and the answer
  has a note. If the tree cannot be written, it is valid until the machine ends.
- The log of input is the guest's own history: after a load it continues from the snapshot's.
- A load ends when every surface shows the loaded screen. A failed load leaves the guest paused: its
  state is unknown.

Source:
    snapshot-save, snapshot-load, snapshot-delete: qapi/migration.json of QEMU. All three act on the
    disks given by node name, and block QEMU's main loop until they are done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ... import encoding
from ...errors import KjuError, QemuError, UsageError
from ...protocol.input_log import Input, decode
from ...protocol.snapshots import SavedSnapshot, SnapshotList
from ...store import log_files
from ...store.snapshot_files import SnapshotFiles
from ...store.snapshot_tree import SnapshotTree, snapshot_id
from .display.screenshot import SnapshotScreens
from .qmp import Qmp
from .snapshot_disks import Disk, Jobs, check_disks, explain_failure, find_snapshot, writable_disks

if TYPE_CHECKING:
    from ..console import Console
    from ..events import ReportEvent
    from ..input.devices import Devices, InputLog
    from ..input.keyboard import SharedKeyboard
    from .display.screenshot import Picture

log = logging.getLogger(__name__)


#: Seconds for a snapshot to be completed when the machine is to end; a gigabyte takes some.
END_TIMEOUT = 30.0
#: Seconds for QEMU's event that the guest runs again; it comes with the answer.
_RUN_TIMEOUT = 1.0


class SnapshotContext(NamedTuple):
    """The parts of a machine that its snapshots need.

    Attributes:
        consoles: Its screens, the first of which makes the pictures.
        folder: A defined machine's folder; empty for another.
        inputs: The log of clients' input.
        report: Called with each event.
        temporary: Why a snapshot is lost when the machine ends; empty if it is not.
        keyboard: The keyboard of a machine without a screen.
        overlay: Returns why the disks are overlays that do not last; empty if they are not.
    """

    consoles: Sequence[Console]
    folder: str
    inputs: InputLog
    report: ReportEvent
    temporary: str = ""
    keyboard: SharedKeyboard | None = None
    overlay: Callable[[], str] = str


class SnapshotLoadError(QemuError):
    """QEMU has begun to load a snapshot, and failed: the disks are as they were at the snapshot."""


class QemuSnapshots:
    """The snapshots of one QEMU.

    Args:
        qmp: The connection to QEMU.
        context: The parts of the machine that snapshots need.

    Attributes:
        jobs: The jobs of the QEMU.
        undo: Called when QEMU has ended: returns the disks to their contents before a load that did
            not succeed.
    """

    def __init__(self, qmp: Qmp, context: SnapshotContext) -> None:
        self._qmp = qmp
        self.jobs = Jobs()
        self.undo: Callable[[], Awaitable[None]] = _nothing
        self._context = context
        self._devices: list[Devices | SharedKeyboard] = [each.devices for each in context.consoles]
        if context.keyboard is not None:
            self._devices.append(context.keyboard)
        self._screens = SnapshotScreens(qmp)
        # None until it is read.
        self._tree: SnapshotTree | None = None
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[SnapshotList]] = set()

    def on_job_event(self, data: dict[str, Any]) -> None:
        """Receive QEMU's event on the status of a job."""
        self.jobs.on_event(data)

    async def listed(self) -> SnapshotList:
        """Return all snapshots, oldest first.

        Raises:
            QemuError: QEMU does not answer.
        """
        disks = await writable_disks(self._qmp)
        tree = await self._read_tree(disks)
        found = [_with_parent(saved, tree) for saved in _all_saved(disks)]
        complete = [self._with_files(saved, disks) for saved in found]
        return SnapshotList(snapshots=sorted(complete, key=lambda saved: saved.time))

    async def do(self, how: str, tag: str) -> SnapshotList:
        """Save, load or remove a snapshot.

        Raises:
            UsageError: No snapshot has this name, or one has it already; or a disk cannot hold any.
            QemuError: QEMU could not do it.
        """
        work = {"save": self._save, "load": self._load, "remove": self._remove}[how]
        return await self._completed(how, work, tag)

    async def begin_with(self, tag: str) -> None:
        """Load a snapshot before the guest has run, which stays paused.

        Raises:
            UsageError: No snapshot has this name, or it is incomplete.
            SnapshotLoadError: QEMU could not load it.
            QemuError: QEMU does not answer.
        """
        loaded = await self._completed("begin", self._restore, tag)
        if loaded.note:
            log.warning("snapshot %s: %s", tag, loaded.note)

    async def _completed(
        self, how: str, work: Callable[[str], Awaitable[SnapshotList]], tag: str
    ) -> SnapshotList:
        """Do work that is completed even if this call is cancelled."""
        task = asyncio.create_task(self._in_turn(work, tag), name=f"snapshot-{how}")
        self._running.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[SnapshotList]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # The client may have disconnected.
            log.info("%s: %s", task.get_name(), error)

    async def _in_turn(
        self, work: Callable[[str], Awaitable[SnapshotList]], tag: str
    ) -> SnapshotList:
        async with self._turn:
            return await work(tag)

    @contextlib.asynccontextmanager
    async def still(self) -> AsyncIterator[bool]:
        """Hold the guest still for this block: paused, nothing down, no snapshot in progress.

        Yields:
            Whether the guest was running, and runs again afterwards.
        """
        async with self._turn, _nothing_down(self._devices), paused(self._qmp) as was_running:
            yield was_running

    async def settle(self) -> None:
        """Wait at most `END_TIMEOUT` for the operation in progress; the machine is about to end."""
        if self._running:
            log.info("waiting for a snapshot that is being saved or loaded")
            await asyncio.wait(self._running, timeout=END_TIMEOUT)

    def close(self) -> None:
        """Free the memory that was lent to QEMU."""
        self._screens.close()

    # -- the operations

    async def _save(self, tag: str) -> SnapshotList:
        disks = check_disks(await writable_disks(self._qmp))
        if any(tag in disk.saved for disk in disks):
            raise UsageError(
                f"the snapshot {tag!r} exists already; remove it, or choose another name"
            )
        tree = await self._read_tree(disks)
        async with _nothing_down(self._devices), paused(self._qmp):
            picture, note = await self._screens.picture()
            try:
                await self._run("snapshot-save", tag, disks)
            except QemuError as error:
                why = await explain_failure(self._qmp, disks)
                raise QemuError(f"{error}{why}; earlier snapshots are unchanged") from error
        missing = await asyncio.to_thread(self._keep_files, tag, disks, picture)
        disks = await writable_disks(self._qmp)
        untold = await self._write_tree(tree.saved(snapshot_id(find_snapshot(tag, disks))), disks)
        lost = self._context.temporary or self._context.overlay()
        note = "; ".join(filter(None, (lost, missing or note or untold)))
        self._context.report("snapshot-saved", {"tag": tag})
        found = next(saved for saved in (await self.listed()).snapshots if saved.tag == tag)
        return SnapshotList(snapshots=[found], note=note)

    async def _load(self, tag: str) -> SnapshotList:
        try:
            return await self._restore(tag)
        except SnapshotLoadError as error:
            raise QemuError(
                f"{error}. The machine is paused, and its state may be a mixture of both: load"
                " another snapshot, or reset it"
            ) from error

    async def _restore(self, tag: str) -> SnapshotList:
        disks = check_disks(await writable_disks(self._qmp))
        saved = self._with_files(self._find(tag, disks), disks)
        if saved.lacking or not saved.size:
            where = ", ".join(saved.lacking) or "it holds disks only"
            raise UsageError(f"the snapshot {tag!r} is incomplete ({where}) and cannot be loaded")
        inputs, note = await asyncio.to_thread(_inputs_of, saved, self._files(disks))
        tree = await self._read_tree(disks)
        was_running = await _pause(self._qmp)
        try:
            await self._run("snapshot-load", tag, disks)
        except QemuError as error:
            raise SnapshotLoadError(str(error)) from error
        for devices in self._devices:
            devices.forget()
        try:
            self._context.inputs.replace(inputs)
        except (KjuError, OSError) as error:
            note = f"the log of input still holds the input before the load: {error}"
        # It is loaded now, even if it cannot be shown.
        self._context.report("snapshot-loaded", {"tag": tag})
        try:
            for console in self._context.consoles:
                await self._screens.show(console)
        finally:
            if was_running:
                await self._qmp.execute("cont")
            tree = tree.loaded(snapshot_id(saved))
            untold = await self._write_tree(tree, disks)
        note = note or untold
        return SnapshotList(snapshots=[_with_parent(saved, tree)], note=note)

    async def _remove(self, tag: str) -> SnapshotList:
        disks = await writable_disks(self._qmp)
        tree = await self._read_tree(disks)
        saved = self._with_files(_with_parent(self._find(tag, disks), tree), disks)
        with_it = [disk.node for disk in disks if tag in disk.saved]
        await self.jobs.run(self._qmp, "snapshot-delete", {"tag": tag, "devices": with_it})
        note = ""
        try:
            await asyncio.to_thread(self._files(disks).remove, tag)
        except (KjuError, OSError) as error:
            note = f"its picture and input could not be removed: {error}"
            log.warning("snapshot %s: %s", tag, note)
        if (kept := tree.pruned(tree.parents.keys() - {snapshot_id(saved)})) != tree:
            untold = await self._write_tree(kept, disks)
            note = note or untold
        self._context.report("snapshot-removed", {"tag": tag})
        return SnapshotList(snapshots=[saved], note=note)

    async def _run(self, command: str, tag: str, disks: list[Disk]) -> None:
        """Run a command on these disks; the first holds the memory, unless another does already."""
        with_memory = [d for d in disks if tag in d.saved and d.saved[tag].size]
        arguments: dict[str, object] = {
            "tag": tag,
            "vmstate": (with_memory or disks)[0].node,
            "devices": [disk.node for disk in disks],
        }
        await self.jobs.run(self._qmp, command, arguments)

    # -- the files

    async def _read_tree(self, disks: list[Disk]) -> SnapshotTree:
        """Return the tree of the snapshots that these disks have."""
        if self._tree is None:
            read = SnapshotTree()
            try:
                read = await asyncio.to_thread(self._files(disks).read_tree)
            except (KjuError, OSError) as error:
                if any(disk.file for disk in disks):
                    log.warning("the parents of snapshots are unknown: %s", error)
            # An operation may have ended during the read.
            self._tree = self._tree or read
        return self._tree.pruned({snapshot_id(saved) for saved in _all_saved(disks)})

    async def _write_tree(self, tree: SnapshotTree, disks: list[Disk]) -> str:
        """Remember and write the tree; return why it could not be written, or ""."""
        self._tree = tree
        if self._context.temporary or not any(disk.file for disk in disks):
            return ""
        try:
            await asyncio.to_thread(self._files(disks).write_tree, tree)
        except (KjuError, OSError) as error:
            return f"the parents of snapshots are known until the machine ends only: {error}"
        return ""

    def _with_files(self, saved: SavedSnapshot, disks: list[Disk]) -> SavedSnapshot:
        picture, inputs = self._files(disks).find(saved.tag)
        lacking = [disk.title for disk in disks if saved.tag not in disk.saved]
        return msgspec.structs.replace(saved, picture=picture, input=inputs, lacking=lacking)

    def _find(self, tag: str, disks: list[Disk]) -> SavedSnapshot:
        """Return a snapshot of these disks.

        Raises:
            UsageError: There is none; the message says if older ones are below an overlay.
        """
        try:
            return find_snapshot(tag, disks)
        except UsageError as error:
            if why := self._context.overlay():
                raise UsageError(f"{error}; {why}") from error
            raise

    def _files(self, disks: list[Disk]) -> SnapshotFiles:
        """Return the files of snapshots: in the machine's folder, else beside its first disk."""
        beside = next((disk.file for disk in disks if disk.file), "")
        # Those in the machine's folder are of the snapshots below an overlay.
        folder = "" if self._context.overlay() else self._context.folder
        return SnapshotFiles(folder, beside)

    def _keep_files(self, tag: str, disks: list[Disk], picture: Picture | None) -> str:
        """Write a snapshot's files; return why they could not be written, or ""."""
        files = self._files(disks)
        if files.place(tag) is None:
            return "no picture: the disk is not a file that it could be stored beside"
        try:
            png = None if picture is None else encoding.png(picture)
            files.keep(tag, png, self._context.inputs.read())
        except (KjuError, OSError) as error:
            return f"neither picture nor input could be kept: {error}"
        return ""


def _all_saved(disks: list[Disk]) -> list[SavedSnapshot]:
    """Return the snapshots of these disks; if several have one, the one with the state."""
    return [find_snapshot(tag, disks) for tag in {tag: None for d in disks for tag in d.saved}]


def _with_parent(saved: SavedSnapshot, tree: SnapshotTree) -> SavedSnapshot:
    """Return a snapshot with its place in the tree."""
    own = snapshot_id(saved)
    parent = tree.parents.get(own)
    return msgspec.structs.replace(
        saved, parent=parent.tag if parent else "", current=own == tree.current
    )


def _inputs_of(saved: SavedSnapshot, files: SnapshotFiles) -> tuple[list[Input], str]:
    """Return the input up to a snapshot, and why its file cannot be read, or ""."""
    if not saved.input:
        return [], ""
    try:
        # The limit is that of our own logs: another user may have written the file, as its disk.
        return decode(files.inputs(saved.tag, 2 * log_files.LIMIT)), ""
    except (KjuError, OSError) as error:
        return [], f"the log of input is empty now: {saved.input} cannot be read: {error}"


async def _nothing() -> None:
    """Do nothing: no load has failed."""


@contextlib.asynccontextmanager
async def _nothing_down(devices: Sequence[Devices | SharedKeyboard]) -> AsyncIterator[None]:
    """Release all keys and buttons for this block: in the loaded guest they would stay down."""
    async with contextlib.AsyncExitStack() as held:
        # No client sends input during the block. Consoles share these locks.
        for turn in {turn: None for each in devices for turn in each.turns}:
            await held.enter_async_context(turn)
        try:
            for each in devices:
                await each.put_all(down=False)
            yield
        finally:
            await _press_again(devices)


async def _press_again(devices: Sequence[Devices | SharedKeyboard]) -> None:
    """Press everything that clients hold; QEMU may report for a moment that it is still paused."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _RUN_TIMEOUT
    for each in devices:
        while True:
            try:
                await each.put_all(down=True)
                break
            except KjuError as error:
                if loop.time() > deadline:
                    log.warning("held keys and buttons are up in the guest: %s", error)
                    break
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def paused(qmp: Qmp) -> AsyncIterator[bool]:
    """Pause the guest for this block; yields whether it was running."""
    was_running = await _pause(qmp)
    try:
        yield was_running
    finally:
        if was_running:
            await qmp.execute("cont")


async def _pause(qmp: Qmp) -> bool:
    """Pause the guest; return whether it was running."""
    status = await qmp.execute("query-status")
    if not status.get("running"):
        return False
    try:
        await qmp.execute("stop")
    except QemuError:
        # It may still stop after the timeout, and then nothing would resume it.
        with contextlib.suppress(QemuError):
            await qmp.execute("cont")
        raise
    return True
