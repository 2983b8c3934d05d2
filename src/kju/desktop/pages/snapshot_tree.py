"""The snapshots of one machine as a tree, and the work on them. No toolkit.

The tree of a machine that is off is read from its disks; such a machine is started before a
snapshot is loaded. A removed snapshot's children hang on its parent, so "remove with what hangs on
it" removes each of them by itself, leaves first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...client import launching
from ...client.machine import Machine
from ...client.requests import Snapshot, snapshot_of
from ...errors import KjuError
from ...escaping import one_line
from ...protocol.values import TAG
from ...store import running
from ...store.paths import machine_paths
from ...store.snapshot_files import saved_snapshots
from ..actions import SNAPSHOT_SECONDS, ActionRunner, control, listed_names
from ..machines.entry import MachineEntry, MachineKey

#: Characters of a message.
_MAX_MESSAGE = 400


class SnapshotNode(NamedTuple):
    """One snapshot of a tree.

    Attributes:
        snapshot: The snapshot.
        depth: Number of snapshots above it.
    """

    snapshot: Snapshot
    depth: int


class SnapshotForest:
    """The snapshots of a machine, each below its parent; those without one are roots.

    Args:
        snapshots: Oldest first. A parent that is missing, or a loop of parents, makes a root.
    """

    def __init__(self, snapshots: Sequence[Snapshot] = ()) -> None:
        self.by_tag = {snapshot.tag: snapshot for snapshot in snapshots}
        self._children: dict[str | None, list[Snapshot]] = {None: []}
        for snapshot in self.by_tag.values():
            self._children.setdefault(self._parent(snapshot), []).append(snapshot)

    def _parent(self, snapshot: Snapshot) -> str | None:
        parent = snapshot.parent
        seen = {snapshot.tag}
        above: str | None = parent
        while above is not None and above in self.by_tag:
            if above in seen:
                return None
            seen.add(above)
            above = self.by_tag[above].parent
        return parent if parent in self.by_tag else None

    @property
    def roots(self) -> list[Snapshot]:
        """The snapshots without a parent, oldest first."""
        return self._children[None]

    def children(self, tag: str) -> list[Snapshot]:
        """Return the snapshots that hang on one directly, oldest first."""
        return self._children.get(tag, [])

    @property
    def here(self) -> Snapshot | None:
        """The snapshot from which the machine's present state descends; None if unknown."""
        return next((each for each in self.by_tag.values() if each.current), None)

    def nodes(self) -> list[SnapshotNode]:
        """Return all snapshots in the order of a drawn tree, each after its parent."""
        found: list[SnapshotNode] = []
        # A stack: a chain of snapshots may be longer than Python's limit of nested calls.
        waiting = [SnapshotNode(root, 0) for root in reversed(self.roots)]
        while waiting:
            node = waiting.pop()
            found.append(node)
            below = self.children(node.snapshot.tag)
            waiting += [SnapshotNode(child, node.depth + 1) for child in reversed(below)]
        return found

    def below(self, tag: str) -> list[Snapshot]:
        """Return everything that hangs on a snapshot, each after its parent."""
        found = []
        waiting = list(reversed(self.children(tag)))
        while waiting:
            snapshot = waiting.pop()
            found.append(snapshot)
            waiting += reversed(self.children(snapshot.tag))
        return found


def unusable(snapshot: Snapshot) -> str:
    """Return why a snapshot cannot be loaded or branched; empty if it can."""
    if not re.search(TAG, snapshot.tag):
        return "its name was given by another program, and kju does not accept it"
    if snapshot.lacking:
        return f"it is incomplete: {one_line(', '.join(snapshot.lacking), 200)} does not hold it"
    if not snapshot.size:
        return "it holds disks only, no memory"
    return ""


def tag_fault(tag: str, forest: SnapshotForest) -> str:
    """Return why a new snapshot cannot have this name; empty if it can."""
    if not tag:
        return "a snapshot needs a name"
    if not re.search(TAG, tag):
        return (
            "up to 64 letters, digits, '.', '_' and '-', beginning with a letter, a digit or '_',"
            " and not digits alone"
        )
    return f"{tag} exists already" if tag in forest.by_tag else ""


def removal_question(forest: SnapshotForest, tag: str, *, with_below: bool) -> str:
    """Return the question before a snapshot is removed; everything removed is named."""
    below = forest.below(tag)
    shown = one_line(tag, 64)
    if not with_below or not below:
        question = f"Remove the snapshot {shown}?"
        if below:
            parent = forest.by_tag[tag].parent
            hang = listed_names([each.tag for each in forest.children(tag)])
            where = f"on {one_line(parent, 64)}" if parent in forest.by_tag else "at the root"
            question += f"\n\nKept, and then {where}: {hang}."
    else:
        names = listed_names([each.tag for each in below], 12)
        count = len(below)
        question = f"Remove the snapshot {shown} and {count} below it?\n\nRemoved with it: {names}."
    return question + "\n\nThe machine itself stays as it is. This cannot be undone."


class SnapshotState(NamedTuple):
    """State of a `SnapshotModel`.

    Attributes:
        key: The machine; None for none.
        forest: Its snapshots, as far as they have been read.
        busy: The action in progress; empty for none.
        message: The last result or failure in words, safe to show.
        failed: The message is a failure.
    """

    key: MachineKey | None = None
    forest: SnapshotForest = SnapshotForest()
    busy: str = ""
    message: str = ""
    failed: bool = False


class SnapshotWork(NamedTuple):
    """The calls of a `SnapshotModel`. All of them may wait, and raise a `KjuError`.

    Attributes:
        read: Takes a machine and whether it runs; returns its snapshots.
        save: Takes a machine and a tag. This and the others return the result in words.
        load: Takes a machine, a tag, whether it runs, and the tag of a snapshot to save first.
        remove: Takes a machine and tags.
        branch: Takes a machine, a tag and the name of the clone.
    """

    read: Callable[[str, bool | None], list[Snapshot]]
    save: Callable[[str, str], str]
    load: Callable[[str, str, bool, str], str]
    remove: Callable[[str, Sequence[str]], str]
    branch: Callable[[str, str, str], str]


class SnapshotModel:
    """The snapshots of the shown machine, for one page. Used on the toolkit's thread.

    Args:
        runner: Runs everything that waits.
        post: Calls a function on the toolkit's thread, from any thread.
        changed: Called after each change of `state`.
        work: Reads and changes snapshots.
    """

    def __init__(
        self,
        runner: ActionRunner,
        post: Callable[[Callable[[], None]], None],
        changed: Callable[[], None],
        work: SnapshotWork | None = None,
    ) -> None:
        self.state = SnapshotState()
        self._runner, self._post, self._changed = runner, post, changed
        self._work = work or SnapshotWork(_read_snapshots, save, load, remove, branch)
        self._entry: MachineEntry | None = None

    @property
    def entry(self) -> MachineEntry | None:
        """The shown machine."""
        return self._entry

    @property
    def runs(self) -> bool:
        """True if the machine runs, so that snapshots can be saved."""
        return self._entry is not None and self._entry.state.runs

    def refusal(self) -> str:
        """Return why this machine has no snapshots to work on; empty if it can have some."""
        entry = self._entry
        if entry is None:
            return "no machine is selected"
        if not entry.is_local:
            return f"{one_line(entry.name, 64)} runs on another computer, which keeps its snapshots"
        if not entry.state.runs and not entry.defined:
            return f"{one_line(entry.name, 64)} has ended, and it has no definition"
        return ""

    def show_machine(self, entry: MachineEntry | None) -> None:
        """Show another machine, or a new state of this one."""
        before, self._entry = self._entry, entry
        key = entry.key if entry else None
        if key != self.state.key:
            self.state = SnapshotState(key)
            self._changed()
        if entry and (before is None or before.key != key or before.state.runs != self.runs):
            self.refresh()

    def on_event(self, key: MachineKey, name: str) -> None:
        """Take the name of a machine's event: another program may have saved a snapshot."""
        if key == self.state.key and name.startswith("snapshot-") and not self.state.busy:
            self.refresh()

    def refresh(self) -> None:
        """Read the snapshots again."""
        entry = self._entry
        if entry is None or self.refusal():
            self._changed()
            return
        runs = entry.state.runs
        self._do("", lambda: "", entry.key, read=lambda: self._work.read(entry.name, runs))

    def save(self, tag: str) -> None:
        """Save a snapshot of the running machine."""
        name = self._name()
        self._do(f"saving {tag}", lambda: self._work.save(name, tag))

    def load(self, tag: str, save_first: str = "") -> None:
        """Return to a snapshot.

        Args:
            tag: The snapshot.
            save_first: The name of a new snapshot of the present state; empty for none.
        """
        name, runs = self._name(), self.runs
        self._do(f"loading {tag}", lambda: self._work.load(name, tag, runs, save_first))

    def remove(self, tag: str, *, with_below: bool = False) -> None:
        """Remove a snapshot of the running machine, and those that hang on it if asked."""
        name = self._name()
        below = self.state.forest.below(tag) if with_below else []
        tags = [*(each.tag for each in reversed(below)), tag]
        self._do(f"removing {tag}", lambda: self._work.remove(name, tags))

    def branch(self, tag: str, new_name: str) -> None:
        """Make a clone that begins at a snapshot; the machine must be off."""
        name = self._name()
        self._do(f"cloning {tag}", lambda: self._work.branch(name, tag, new_name))

    def _name(self) -> str:
        return self._entry.name if self._entry else ""

    def _do(
        self,
        busy: str,
        work: Callable[[], str],
        key: MachineKey | None = None,
        read: Callable[[], list[Snapshot]] | None = None,
    ) -> None:
        """Run *work* on a thread, then read the snapshots again."""
        key = key or self.state.key
        if key is None:
            return
        name = key.name

        def call() -> None:
            message, failed = _attempt(work)
            snapshots: list[Snapshot] | None = None
            try:
                snapshots = read() if read else self._work.read(name, None)
            except KjuError as error:
                if not failed:
                    message, failed = one_line(str(error), _MAX_MESSAGE), True
            self._post(lambda: self._take(key, bool(busy), snapshots, message, failed))

        if not self._runner.submit(key, call):
            self._set(message="too many actions of this machine are waiting", failed=True)
        elif busy:
            self._set(busy=one_line(busy, _MAX_MESSAGE), message="", failed=False)

    def _take(
        self,
        key: MachineKey,
        was_busy: bool,
        snapshots: list[Snapshot] | None,
        message: str,
        failed: bool,
    ) -> None:
        if key != self.state.key:
            return
        if snapshots is not None:
            self._set(forest=SnapshotForest(snapshots))
        if was_busy:
            self._set(busy="", message=message, failed=failed)
        elif failed:
            self._set(message=message, failed=True)

    def _set(self, **changes: object) -> None:
        self.state = self.state._replace(**changes)  # type: ignore[arg-type]  # by name
        self._changed()


def _attempt(work: Callable[[], str]) -> tuple[str, bool]:
    """Return the message of some work, and whether it failed."""
    try:
        return one_line(work(), _MAX_MESSAGE), False
    except KjuError as error:
        return one_line(str(error), _MAX_MESSAGE) or type(error).__name__, True
    except Exception as error:  # a bug must not leave the page busy for ever
        return one_line(f"{type(error).__name__}: {error}", _MAX_MESSAGE), True


# ---- One machine; all of this may wait


def _read_snapshots(name: str, runs: bool | None) -> list[Snapshot]:
    """Return a machine's snapshots, oldest first.

    Args:
        name: The machine.
        runs: Whether it runs; None if that may just have changed.

    Raises:
        KjuError: It does not answer, or its disks cannot be read.
    """
    if runs is None:
        runs = is_running(name)
    if runs:
        with control(name, "view") as machine:
            return machine.snapshots.list()
    return [snapshot_of(saved) for saved in saved_snapshots(name)]


def is_running(name: str) -> bool:
    """Return whether a machine of this computer runs now."""
    return running.is_alive(machine_paths(name))


def save(name: str, tag: str) -> str:
    """Save a snapshot; return the result in words."""
    with control(name) as machine:
        return _saved(machine, tag)


def _saved(machine: Machine, tag: str) -> str:
    saved = machine.snapshots.save(tag, timeout=SNAPSHOT_SECONDS)
    return f"{tag} is saved" + (f"; {saved.note}" if saved.note else "")


def load(name: str, tag: str, runs: bool, save_first: str = "") -> str:
    """Load a snapshot, and start the machine before if it is off; return the result in words."""
    machine = control(name) if runs else launching.start(name, detach=True)
    with machine:
        if save_first:
            _saved(machine, save_first)
        loaded = machine.snapshots.load(tag, timeout=SNAPSHOT_SECONDS)
    before = f"{save_first} is saved; " if save_first else ""
    return f"{before}{tag} is loaded" + (f"; {loaded.note}" if loaded.note else "")


def remove(name: str, tags: Sequence[str]) -> str:
    """Remove snapshots in this order; return the result in words.

    Raises:
        KjuError: One could not be removed; the message names those that were.
    """
    removed: list[str] = []
    with control(name) as machine:
        for tag in tags:
            try:
                machine.snapshots.remove(tag, timeout=SNAPSHOT_SECONDS)
            except KjuError as error:
                if not removed:
                    raise
                raise KjuError(f"{error}; removed before: {listed_names(removed)}") from error
            removed.append(tag)
    verb = "is" if len(removed) == 1 else "are"
    return f"{listed_names(removed)} {verb} removed"


def branch(name: str, tag: str, new_name: str) -> str:
    """Clone a machine that is off at a snapshot, and load it there; return the result in words."""
    launching.clone(name, new_name, snapshot=tag)
    try:
        load(new_name, tag, False)
    except KjuError as error:
        raise KjuError(f"{new_name} is defined, and did not start: {error}") from error
    return f"{new_name} runs from {tag}"
