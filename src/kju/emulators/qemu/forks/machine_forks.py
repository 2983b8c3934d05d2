"""SHELL: the base that one QEMU was frozen as or started from, and its disks.

- A freeze is refused before anything is changed, if its forks could not start.
- The frozen machine continues in the same QEMU. It writes to new overlays from then on: its disks
  are the base's. Its memory is the base's copy's original; nothing is shared with its forks.
- A freeze is completed even if its client disconnects, and before the machine ends.
- After a failed freeze the machine continues; its disks may have one overlay more.
- A base has no keys or buttons down, whatever clients hold.

Source:
    transaction, blockdev-snapshot-sync: qapi/transaction.json, qapi/block-core.json of QEMU.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

from ....errors import ForkError, KjuError, QemuError
from ....protocol.forks import Frozen
from ....store.forks.bases import Base, BaseFiles
from ....store.forks.description import BaseFacts, MemoryRange
from ....store.forks.layers import MAX_DEPTH
from ....store.forks.listing import used_bytes
from ....store.forks.overlays import ForkDisks
from ...base import FrozenBase
from ...console import HandedOver
from ...events import ReportEvent
from ..arguments.user_options import ForkMemory
from ..launch import PreparedQemu
from ..program import Accelerator
from ..qmp import Qmp
from ..snapshot_disks import Disk, writable_disks
from ..snapshots import QemuSnapshots
from . import arguments, migration, recipe
from .flattening import Flattening
from .ram_file import find_block

log = logging.getLogger(__name__)

#: Seconds for a freeze to be completed when the machine is to end.
END_TIMEOUT = 30.0


class QemuForks:
    """The base and the disks of one QEMU.

    Args:
        name: The machine's name.
        original: Its launch, with the user's own disks; a fork's is that of the frozen machine.
        accelerator: The accelerator.
        base: The base that it is a fork of; this object releases it.
        disks: A fork's disks; this object releases them.

    Attributes:
        base: The newest base: the one that it was frozen as last, or is a fork of.
        bases: All bases that it holds, by their tags: those that it was frozen as.
        kept: The screens of the QEMU that is replaced, from its end until this one shows on them.
        reverts: Whether this QEMU has replaced another one.
    """

    def __init__(
        self,
        name: str,
        original: PreparedQemu,
        accelerator: Accelerator,
        base: Base | None = None,
        disks: ForkDisks | None = None,
    ) -> None:
        self.base = base
        self.bases: dict[str, Base] = {}
        self._origin = base
        self.kept: list[HandedOver] = []
        self.reverts = False
        self._begins = False
        self._name = name
        self._original = original
        self._accelerator = accelerator
        self._disks = disks
        self._loads = base is not None
        self._running: set[asyncio.Task[tuple[Frozen, Base]]] = set()
        self._turn = asyncio.Lock()
        self._flattening = Flattening(name)

    @property
    def loads(self) -> bool:
        """True if this QEMU waits for a base's state when it starts."""
        return self._loads

    async def load(self, qmp: Qmp) -> None:
        """Load the base's state; the guest is paused until `begin`.

        Raises:
            ForkError: The base is damaged.
            QemuError: QEMU could not load it.
        """
        if self.base is None:
            raise ForkError(f"{self._name} is not a fork", self._name)
        await migration.load(qmp, self.base.state)
        self._begins = not recipe.decoded(self.base.facts.recipe).paused

    async def begin(self, qmp: Qmp) -> None:
        """Let a loaded guest run, unless it was paused when it was frozen. Once only.

        Raises:
            QemuError: QEMU does not answer.
        """
        if self._begins:
            self._begins = False
            await qmp.execute("cont")

    async def freeze(self, qmp: Qmp, snapshots: QemuSnapshots, tag: str) -> FrozenBase:
        """Freeze the machine as a base, and let it go on.

        Raises:
            ForkError: It cannot be frozen; nothing has changed.
            LimitError: There is too little memory for the base; nothing has changed.
            QemuError: QEMU could not save its state; the machine continues.
        """
        task = asyncio.create_task(self._in_turn(qmp, snapshots, tag), name="freeze")
        self._running.add(task)
        task.add_done_callback(self._done)
        frozen, made = await asyncio.shield(task)
        # At once: another client's freeze under the same tag releases the base as its last step.
        return FrozenBase(frozen, made.hold_again())

    def _done(self, task: asyncio.Task[tuple[Frozen, Base]]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # The client may have disconnected.
            log.info("%s: %s", task.get_name(), error)

    async def _in_turn(self, qmp: Qmp, snapshots: QemuSnapshots, tag: str) -> tuple[Frozen, Base]:
        async with self._turn:
            await self._flatten_first(qmp, snapshots)
            frozen = await self._freeze(qmp, snapshots, tag)
            self.flatten(qmp, snapshots)
            return frozen

    @property
    def overlay_note(self) -> str:
        """The reason why a snapshot does not last; empty with the user's own disks."""
        if self._disks is None or self._disks.holds_snapshots:
            return ""
        if self._disks.are_copies:
            return (
                f"{self._name} writes to copies of its disks: snapshots are lost when it ends or is"
                " frozen"
            )
        return (
            f"{self._name} was frozen, is a fork, or is of a fleet: its disks are overlays, whose"
            " snapshots are lost when it ends or is frozen again; older ones are in the disks below"
        )

    async def copy_disks(self) -> None:
        """Copy the images of a machine that begins with a snapshot of them, before QEMU starts.

        Raises:
            UsageError: An image cannot be read.
            FileError: A copy could not be written.
        """
        if self._disks is None or not self._disks.to_copy:
            return
        wanted = True
        work = asyncio.create_task(asyncio.to_thread(self._disks.copy, lambda: wanted))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            wanted = False
            await asyncio.wait([work])
            raise

    @property
    def is_deep(self) -> bool:
        """True if a disk has too many overlays: they are copied into one."""
        return self._disks is not None and bool(self._disks.to_flatten())

    def flatten(self, qmp: Qmp, snapshots: QemuSnapshots) -> None:
        """Copy the overlays of each disk that `is_deep` into one, in the background."""
        if self._disks is not None:
            self._flattening.begin(qmp, snapshots.jobs, self._disks)

    async def _flatten_first(self, qmp: Qmp, snapshots: QemuSnapshots) -> None:
        """Wait for a copy of overlays; a failed one is tried again.

        Raises:
            ForkError: It has failed again.
        """
        await self._flattening.settle()
        self.flatten(qmp, snapshots)
        await self._flattening.settle()
        if self.is_deep:
            raise ForkError(
                f"{self._name} cannot be frozen: a disk has {MAX_DEPTH} overlays, and they could"
                f" not be copied into one. For the reason: kju logs {self._name}",
                self._name,
            )

    async def settle_copies(self) -> None:
        """Wait until no overlays are copied; QEMU has ended, and the copies with it."""
        await self._flattening.settle()

    async def remove(self, tag: str) -> None:
        """Stop holding a base: it is removed with its last fork.

        Raises:
            ForkError: The machine has no base of this name.
        """
        base = self.bases.pop(tag, None)
        if base is None:
            tags = ", ".join(self.bases) or "none"
            raise ForkError(
                f"{self._name} was not frozen as {tag!r}; its bases are: {tags}", self._name
            )
        if base is self.base:
            self.base = next(reversed(self.bases.values()), self._origin)
        await asyncio.to_thread(base.release)

    def check_revert(self) -> str:
        """Check that the machine can return to its base; return the name of the base.

        Raises:
            ForkError: It has no base, or the base is damaged or fits another QEMU.
        """
        if self.base is None:
            raise ForkError(
                f"{self._name} has no base to return to; freeze it first:"
                f" kju freeze {self._name} TAG",
                self._name,
            )
        self.base.check(build_of(self._original))
        return self.base.facts.tag

    def renewed(self) -> PreparedQemu:
        """Return the launch of a QEMU that loads the base, with new disks; the old one has ended.

        Raises:
            FileError: An overlay cannot be made.
        """
        if self.base is None or self._disks is None:
            raise ForkError(f"{self._name} has no base", self._name)
        self._disks.renew(self.base.disks)
        self._loads = self.reverts = True
        return launch_from(self.base, self._original, self._disks)

    async def settle(self) -> None:
        """Wait at most `END_TIMEOUT` for a freeze in progress; the machine is about to end."""
        if self._running:
            await asyncio.wait(self._running, timeout=END_TIMEOUT)

    async def release(self) -> None:
        """Release the base and the disks; QEMU has ended. A second call does nothing."""
        await self.settle_copies()
        releases = [base.release for base in self.bases.values()]
        releases += [held.release for held in (self._origin, self._disks) if held is not None]
        self.base = self._origin = self._disks = None
        self.bases.clear()
        for release in releases:
            try:
                await asyncio.to_thread(release)
            except (KjuError, OSError) as error:
                log.warning("files of forks are left for the next kju command: %s", error)

    def info(self) -> dict[str, Any] | None:
        """Return the base, ready for JSON; None without one."""
        if self.base is None:
            return None
        facts = self.base.facts
        return {
            "base": self.base.id,
            "machine": facts.machine,
            "tag": facts.tag,
            "is_fork": self._origin is not None,
            "bases": list(self.bases),
        }

    # -- the freeze

    async def _freeze(self, qmp: Qmp, snapshots: QemuSnapshots, tag: str) -> tuple[Frozen, Base]:
        name = await self._check(qmp)
        disks = await self._own_disks(qmp)
        size = (await qmp.execute("query-memory-size-summary"))["base-memory"]
        files = await asyncio.to_thread(BaseFiles.reserve, size)
        try:
            async with snapshots.still() as was_running:
                began = time.monotonic()
                await self._extend(qmp, disks)
                await migration.write_state(qmp, files.state)
                if not was_running:
                    await migration.activate_disks(qmp, self._original.qemu.version)
                seconds = time.monotonic() - began
            media = _media_of(await qmp.execute("query-block"))
            launch = recipe.with_media(self._original, media)
            made = await asyncio.to_thread(
                self._make_base, files, disks, tag, name, launch, paused=not was_running
            )
        finally:
            await asyncio.to_thread(files.release)
        old = self.bases.pop(tag, None)
        self.base = self.bases[tag] = made
        if old is not None:
            await asyncio.to_thread(old.release)
        used = used_bytes(made.state)
        log.info("frozen as %s: %d MiB, paused for %.0f ms", tag, used >> 20, seconds * 1000)
        return Frozen(base=made.id, milliseconds=seconds * 1000), made

    async def _check(self, qmp: Qmp) -> str:
        """Return QEMU's name of the guest's memory, if this machine can be frozen."""
        qemu, request = self._original.qemu, self._original.request
        if why := qemu.no_forks:
            raise ForkError(
                f"{self._name} cannot be frozen: that {why}. Install a newer QEMU, or save a"
                f" snapshot: kju snapshot save {self._name} TAG",
                self._name,
            )
        arguments.check(request.arguments)
        await migration.check_blockers(qmp)
        await migration.check_state(qmp, qemu.version)
        return await migration.memory_name(qmp)

    async def _own_disks(self, qmp: Qmp) -> ForkDisks:
        """Return the machine's disks; a disk that kju has not attached is refused."""
        found = await writable_disks(qmp)
        if self._disks is None:
            self._disks = ForkDisks.own(self._name, recipe.writable_disks(self._original))
        known = {str(path) for path in self._disks.paths}
        for disk in found:
            if _real(disk) not in known:
                raise ForkError(
                    f"{self._name} cannot be frozen: kju has not attached its disk {disk.title}, so"
                    " forks would write to it. Remove it, or attach it with kju create",
                    self._name,
                )
        return self._disks

    async def _extend(self, qmp: Qmp, disks: ForkDisks) -> None:
        """Let QEMU write to new overlays from now on; all of them, or none."""
        nodes: dict[str, Disk] = {_real(disk): disk for disk in await writable_disks(qmp)}
        before = [str(path) for path in disks.paths]
        after = await asyncio.to_thread(disks.extend)
        actions = [
            {
                "type": "blockdev-snapshot-sync",
                "data": {
                    "node-name": nodes[old].node,
                    "snapshot-file": str(new),
                    "snapshot-node-name": f"kju-overlay-{new.stem}",
                    "format": "qcow2",
                    "mode": "existing",
                },
            }
            for old, new in zip(before, after, strict=True)
        ]
        if not actions:
            return
        try:
            # It writes the disks' caches to the device, which can take long.
            await qmp.execute("transaction", {"actions": actions}, timeout=migration.TIMEOUT)
        except QemuError:
            # Without an answer QEMU may write to the overlays already, which must stay then.
            used = {_real(disk) for disk in await writable_disks(qmp)}
            if used.isdisjoint(map(str, after)):
                await asyncio.to_thread(disks.retract)
            raise

    def _make_base(
        self,
        files: BaseFiles,
        disks: ForkDisks,
        tag: str,
        name: str,
        original: PreparedQemu,
        *,
        paused: bool,
    ) -> Base:
        size = files.state.stat().st_size
        block = find_block(files.read, name, size)
        # So that a fork's QEMU maps these pages, and does not read them.
        files.clear(block.bitmap, block.bitmap_size)
        memory = ForkMemory(block.name, block.size, block.offset)
        made = recipe.Recipe(original, self._accelerator, memory, paused)
        facts = BaseFacts(
            machine=self._name,
            tag=tag,
            build=build_of(original),
            machine_type=original.board.name,
            accelerator=self._accelerator.name,
            memory=block.size,
            recipe=recipe.encoded(made),
            ram=MemoryRange(block.name, block.offset, block.size),
            parent=self.base.id if self.base is not None else "",
        )
        return files.freeze(facts, disks)


class ForksOf:
    """The bases of a running QEMU.

    Args:
        forks: Its base and disks.
        qmp: The connection to it.
        snapshots: Its snapshots, which hold it still.
        report: Called with each event.
    """

    def __init__(
        self, forks: QemuForks, qmp: Qmp, snapshots: QemuSnapshots, report: ReportEvent
    ) -> None:
        self._report = report
        self._forks = forks
        self._qmp = qmp
        self._snapshots = snapshots

    async def freeze(self, tag: str) -> FrozenBase:
        """Freeze the machine as a base: see `QemuForks.freeze`."""
        frozen = await self._forks.freeze(self._qmp, self._snapshots, tag)
        self._report("frozen", {"tag": tag})
        return frozen

    async def remove(self, tag: str) -> None:
        """Stop holding a base: see `QemuForks.remove`."""
        await self._forks.remove(tag)


def launch_from(base: Base, original: PreparedQemu, disks: ForkDisks) -> PreparedQemu:
    """Return the launch of a QEMU that loads a base.

    Args:
        base: The base.
        original: The launch with the user's own disks.
        disks: The overlays over the base's disks.
    """
    memory = recipe.decoded(base.facts.recipe).memory._replace(path=str(base.state))
    return recipe.with_disks(original, disks.files)._replace(fork_memory=memory)


def _media_of(blocks: object) -> dict[str, str]:
    """Return the path of the medium in each CD drive of kju's, from an answer to query-block."""
    found = {}
    for block in blocks if isinstance(blocks, list) else []:
        device = str(block.get("device", ""))
        if device.startswith("kju-cd"):
            inserted = block.get("inserted") or {}
            found[device] = str((inserted.get("image") or {}).get("filename", ""))
    return found


def _real(disk: Disk) -> str:
    """Return the path of a disk after links are followed, as `ForkDisks` has it."""
    return str(Path(disk.file).resolve()) if disk.file else ""


def build_of(prepared: PreparedQemu) -> str:
    """Return a text that is another one after QEMU was updated."""
    status = Path(prepared.qemu.path).stat()
    version = ".".join(map(str, prepared.qemu.version))
    return f"QEMU {version} ({prepared.qemu.path}, {status.st_size} bytes, {status.st_mtime_ns})"
