"""Actions on one or many machines: conditions, execution, and results in words.

`ActionRunner.run` returns at once: the calls run on threads, with a queue for each machine. A
machine whose host is stopped fails by itself and delays no other. Of a run's progress its owner
gets an `ActionRun` after each machine, on one of those threads.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from ..client import launching
from ..client.machine import Machine
from ..errors import KjuError, MachineNotFoundError, WaitTimeoutError
from ..escaping import one_line
from ..protocol.values import KINDS, Role
from ..store import running
from ..viewers import settings
from .machines.entry import MachineEntry, MachineKey, MachineState
from .machines.machine_queues import MachineQueues

#: Seconds for a guest to shut down before it is ended, as `kju stop` has.
SHUTDOWN_SECONDS = 30.0
#: Seconds for a snapshot: a gigabyte of memory takes some.
SNAPSHOT_SECONDS = 600.0
#: Machines that are started or cloned at the same time: each loads the disks and a processor.
_HEAVY_AT_ONCE = 4
#: Characters of one machine's failure in a summary.
_MAX_REASON = 300
#: Failures that a summary spells out.
_MAX_NAMED = 3


class Action(Enum):
    """Something that a user does to machines; the value is the word of its button."""

    START = "Start"
    PAUSE = "Pause"
    RESUME = "Resume"
    RESET = "Reset"
    POWER = "Press power button"
    STOP = "Stop"
    END = "End now"
    SNAPSHOT = "Save snapshot"
    CLONE = "Clone"
    REMOVE = "Remove"

    @property
    def rule(self) -> ActionRule:
        """Its line in the table."""
        return _RULES[self]


_ON = frozenset((MachineState.RUNNING, MachineState.PAUSED))
_ENDABLE = _ON | {MachineState.STARTING, MachineState.SILENT}
_OFF = frozenset((MachineState.OFF, MachineState.ENDED))


class ActionRule(NamedTuple):
    """One line of the table of actions.

    Attributes:
        states: The states of a machine in which it applies.
        done: The past participle, for summaries: "3 machines stopped".
        needs_definition: It applies to machines with a definition only.
        warning: Data that a user may lose; an action with a warning is confirmed first.
    """

    states: frozenset[MachineState]
    done: str
    needs_definition: bool = False
    warning: str = ""


_RULES = {
    Action.START: ActionRule(_OFF, "started", needs_definition=True),
    Action.PAUSE: ActionRule(frozenset((MachineState.RUNNING,)), "paused"),
    Action.RESUME: ActionRule(frozenset((MachineState.PAUSED,)), "resumed"),
    Action.RESET: ActionRule(
        _ON, "reset", warning="The guest is not asked: data that it has not saved is lost."
    ),
    Action.POWER: ActionRule(_ON, "asked to shut down"),
    Action.STOP: ActionRule(
        _ON, "stopped",
        warning="The guest is asked to shut down; it is ended after 30 s, or at once if it ignores"
        " the power button.",
    ),
    Action.END: ActionRule(
        _ENDABLE, "ended",
        warning="The guest is not asked: data that it has not saved is lost.",
    ),
    Action.SNAPSHOT: ActionRule(_ON, "saved"),
    Action.CLONE: ActionRule(_OFF, "cloned", needs_definition=True),
    Action.REMOVE: ActionRule(
        _OFF, "removed", needs_definition=True, warning="This cannot be undone."
    ),
}  # fmt: skip


def refusal(action: Action, entry: MachineEntry) -> str:
    """Return why an action does not apply to a machine; empty if it does."""
    rule = action.rule
    if entry.key.host:
        return f"{entry.name} runs on another computer: only that one can do this"
    if entry.state not in rule.states:
        return f"{entry.name} is {entry.state.value}"
    if rule.needs_definition and not entry.defined:
        return f"{entry.name} has no definition; kju create NAME makes one"
    return ""


def applicable(action: Action, entries: Sequence[MachineEntry]) -> list[MachineEntry]:
    """Return the machines to which an action applies, in their order."""
    return [entry for entry in entries if not refusal(action, entry)]


def confirmation(action: Action, entries: Sequence[MachineEntry]) -> str:
    """Return the question before an action; empty where none is asked.

    One machine is asked about where something is lost; several always are, because a selection is
    easily larger than its owner thinks. `Action.REMOVE` has a longer question: see `removal`.
    """
    warning = action.rule.warning
    harmless = action in (Action.START, Action.PAUSE, Action.RESUME, Action.SNAPSHOT)
    if harmless or (len(entries) < 2 and not warning):
        return ""
    if len(entries) == 1 and action is Action.STOP:
        return ""  # as `kju stop` and the window's close button of other desktops
    who = listed_names([entry.name for entry in entries])
    return f"{action.value}: {who}?" + (f"\n\n{warning}" if warning else "")


def listed_names(names: Sequence[str], most: int = 8) -> str:
    """Return names as a list in words, shortened after some."""
    shown = ", ".join(one_line(name, 64) for name in names[:most])
    more = len(names) - most
    return f"{shown} and {more} more" if more > 0 else shown


def proposed_clone_name(name: str, taken: Sequence[str]) -> str:
    """Return a free name for a clone, such as ``web-2``; a name has at most 64 characters."""
    stem, dash, number = name.rpartition("-")
    stem, at = (stem, int(number) + 1) if dash and number.isdecimal() else (name, 2)
    used = set(taken)
    while (proposed := f"{stem[: 63 - len(str(at))]}-{at}") in used:
        at += 1
    return proposed


def proposed_tag(now: float | None = None) -> str:
    """Return a snapshot's name made from the time, such as ``2026-03-01_14.05.09``."""
    return time.strftime("%Y-%m-%d_%H.%M.%S", time.localtime(now))


class ActionRun(NamedTuple):
    """One action on some machines, as far as it is done.

    Attributes:
        number: Counts runs; never reused.
        action: The action.
        keys: The machines.
        outcomes: The results until now: the reason of a failure; empty for a success.
        notes: Remarks on machines that succeeded.
    """

    number: int
    action: Action
    keys: tuple[MachineKey, ...]
    outcomes: Mapping[MachineKey, str]
    notes: Mapping[MachineKey, str]

    @property
    def finished(self) -> bool:
        """True once every machine has a result."""
        return len(self.outcomes) == len(self.keys)

    @property
    def failures(self) -> dict[MachineKey, str]:
        """The machines that failed, and why."""
        return {key: self.outcomes[key] for key in self.keys if self.outcomes.get(key)}

    @property
    def summary(self) -> str:
        """The result until now in one line, safe to show."""
        done, many = self.action.rule.done, len(self.keys)
        succeeded = len(self.outcomes) - len(self.failures)
        if many == 1:
            key = self.keys[0]
            text = f"{_shown(key)} {done}" if succeeded else ""
        elif succeeded == many:
            text = f"{many} machines {done}"
        else:
            text = f"{succeeded} of {many} {done}"
        failed = [f"{_shown(key)}: {why}" for key, why in list(self.failures.items())[:_MAX_NAMED]]
        if (more := len(self.failures) - _MAX_NAMED) > 0:
            failed.append(f"{more} more failed")
        noted = [f"{_shown(key)}: {note}" for key, note in self.notes.items()][:_MAX_NAMED]
        return "; ".join(filter(None, [text, *failed, *noted]))


def _shown(key: MachineKey) -> str:
    return one_line(key.name, 64)


class ActionOptions(NamedTuple):
    """Details of an action.

    Attributes:
        tag: The name of a snapshot to save.
        new_names: The names of clones, by the machine that is cloned.
    """

    tag: str = ""
    new_names: Mapping[str, str] = {}


NO_OPTIONS = ActionOptions()

#: Performs an action on one machine and returns a note, or raises a `KjuError`.
Perform = Callable[[Action, str, ActionOptions], str]
#: Takes the state of a run, on any thread.
Progress = Callable[[ActionRun], None]


class ActionRunner:
    """Runs actions on threads; `run` never waits.

    Args:
        progress: Called after each machine, on a thread of the runner.
        perform: Performs an action on one machine.
    """

    def __init__(self, progress: Progress, perform: Perform | None = None) -> None:
        self._progress = progress
        self._perform = perform or _perform_action
        self._queues = MachineQueues()
        self._heavy = threading.Semaphore(_HEAVY_AT_ONCE)
        self._lock = threading.Lock()
        self._number = 0

    def run(
        self,
        action: Action,
        keys: Sequence[MachineKey],
        options: ActionOptions = NO_OPTIONS,
    ) -> ActionRun:
        """Begin an action on some machines of this computer, and return at once."""
        with self._lock:
            self._number += 1
            number = self._number
        wanted = tuple(dict.fromkeys(keys))
        outcomes: dict[MachineKey, str] = {}
        notes: dict[MachineKey, str] = {}
        begun = ActionRun(number, action, wanted, {}, {})

        def finish(key: MachineKey, why: str, note: str) -> None:
            with self._lock:
                outcomes[key] = why
                if note:
                    notes[key] = note
                state = begun._replace(outcomes=dict(outcomes), notes=dict(notes))
            self._progress(state)

        def job(key: MachineKey) -> None:
            why, note = self._try(action, key, options)
            finish(key, why, note)

        for key in wanted:
            lane: Hashable = key
            if action is Action.END:
                # A guest that ignores the power button occupies its machine's queue: pass it.
                lane = ("end", key)
            elif action is Action.REMOVE:
                lane = "remove"  # in this order: a clone before the machine below it
            if not self._queues.submit(lane, functools.partial(job, key)):
                finish(key, "too many actions of this machine are waiting", "")
        return begun

    def _try(self, action: Action, key: MachineKey, options: ActionOptions) -> tuple[str, str]:
        """Perform an action; return why it failed, or empty, and a note."""
        heavy = action in (Action.START, Action.CLONE)
        if heavy:
            self._heavy.acquire()
        try:
            return "", one_line(self._perform(action, key.name, options), _MAX_REASON)
        except KjuError as error:
            return one_line(str(error), _MAX_REASON) or type(error).__name__, ""
        except Exception as error:  # a bug must not leave a run without an end
            return one_line(f"{type(error).__name__}: {error}", _MAX_REASON), ""
        finally:
            if heavy:
                self._heavy.release()

    def submit(self, lane: Hashable, call: Callable[[], None]) -> bool:
        """Queue a call; False where it is not accepted.

        Args:
            lane: A machine's key, for a call after its actions; or a queue of its own.
            call: It must not raise.
        """
        return self._queues.submit(lane, call)

    def submit_reading(self, call: Callable[[], None]) -> bool:
        """Queue a call that reads files of kju's own, in the order of such calls."""
        return self._queues.submit("reading", call)

    def close(self) -> None:
        """Drop the calls that wait; those that run may end within a second."""
        self._queues.close()


# ---- One machine; all of this may wait


def _perform_action(action: Action, name: str, options: ActionOptions) -> str:
    """Perform an action on one machine of this computer; return a note, or empty.

    Raises:
        KjuError: It failed.
    """
    match action:
        case Action.START:
            launching.start(name, detach=True).close()
            return ""
        case Action.CLONE:
            launching.clone(name, options.new_names[name])
            return f"it cannot be started while {options.new_names[name]} exists"
        case Action.REMOVE:
            kept = launching.remove(name)
            settings.forget(name)
            return f"not removed: {listed_names([str(path) for path in kept], 3)}" if kept else ""
        case Action.END:
            return _end(name)
    with control(name) as machine:
        return _perform_on(machine, action, options)


def control(name: str, role: Role = "control") -> Machine:
    """Attach to a machine of this computer, whose host may be stopped.

    Raises:
        WaitTimeoutError: Its host process is stopped; a connection would wait for it.
        MachineNotFoundError: It is not running.
    """
    pid = running.host_pid(name)
    if pid and running.is_stopped(pid):
        raise WaitTimeoutError(
            f"its host does not respond: process {pid} is stopped; continue it with kill -CONT"
            f" {pid}, or use End now"
        )
    return launching.attach(name, role)


def _perform_on(machine: Machine, action: Action, options: ActionOptions) -> str:
    match action:
        case Action.PAUSE:
            machine.pause()
        case Action.RESUME:
            machine.resume()
        case Action.RESET:
            machine.reset()
        case Action.POWER:
            machine.powerdown()
        case Action.STOP:
            return _stop(machine)
        case Action.SNAPSHOT:
            saved = machine.snapshots.save(options.tag, timeout=SNAPSHOT_SECONDS)
            return saved.note or ""
    return ""


def _stop(machine: Machine) -> str:
    if not KINDS[machine.info()["kind"]].has_guest:
        machine.stop()
        return ""
    if machine.shutdown(timeout=SHUTDOWN_SECONDS):
        return ""
    return "its guest did not shut down by itself and was ended"


def _end(name: str) -> str:
    pid = running.host_pid(name)
    if pid and running.is_stopped(pid):
        running.kill(name)
        return f"its host did not respond: process {pid} was killed"
    try:
        with launching.attach(name) as machine:
            machine.stop()
    except MachineNotFoundError:
        if not running.is_alive(running.find(name)):
            raise
        # The host is alive and no longer listens.
        running.kill(name)
        return "its host did not respond and was killed"
    except WaitTimeoutError:
        running.kill(name)
        return "its host did not respond and was killed"
    return ""
