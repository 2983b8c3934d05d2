"""SHELL: the threads of the create page: dry runs, and the making of machines.

- Dry runs run on one thread. A new one replaces those that wait; it begins when nothing has been
  typed for `_QUIET`. At rest the thread sleeps, without a timer.
- A dry run that takes longer than `LIMIT` is given up (`kju.client.planning.Planner`).
- A machine is made on a thread of its own, so that it does not wait for a dry run.
- Callbacks run on these threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from ...client.launching import start
from ...client.planning import Planner
from ...client.requests import LaunchPlan
from ...errors import KjuError
from ...files import Folder
from ...protocol.dry_run import DryRun
from ...store import defining, definitions
from ...store.machine_toml import decode
from ...store.paths import DEFINITION_FILE, check_name, definitions_folder
from .create import CreateOrder

#: Seconds without a change before a dry run begins.
_QUIET = 0.15
#: Seconds for one dry run; on a quiet computer it takes a few milliseconds.
LIMIT = 6.0


class Made(NamedTuple):
    """The end of an order.

    Attributes:
        order: The order.
        written: Whether the definition was written.
        error: Why it failed; None if all was done.
    """

    order: CreateOrder
    written: bool
    error: KjuError | None


class DryRuns:
    """The thread of dry runs.

    Args:
        answered: Called with the number of a dry run, and the plan or the error.
        quiet: Seconds without a new dry run before one begins.
        limit: Seconds for one.
    """

    def __init__(
        self,
        answered: Callable[[int, LaunchPlan | KjuError], None],
        *,
        quiet: float = _QUIET,
        limit: float = LIMIT,
    ) -> None:
        self._answered = answered
        self._quiet, self._limit = quiet, limit
        self._turn = threading.Condition()
        self._next: tuple[int, DryRun, float] | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def ask(self, number: int, request: DryRun | None) -> None:
        """Ask for a dry run in place of those that wait; None only drops those."""
        with self._turn:
            if self._closed:
                return
            due = time.monotonic() + self._quiet
            self._next = None if request is None else (number, request, due)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kju-plan", daemon=True)
                self._thread.start()
            self._turn.notify()

    def close(self) -> None:
        """End the thread soon; nothing is called back from now on. Does not wait."""
        with self._turn:
            self._closed = True
            self._turn.notify()

    def _run(self) -> None:
        with Planner() as planner:
            while (request := self._take()) is not None:
                result = _planned(planner, request[1], self._limit)
                with self._turn:
                    closed = self._closed
                if not closed:
                    self._answered(request[0], result)

    def _take(self) -> tuple[int, DryRun] | None:
        """Wait for the next dry run that is due; None at the end."""
        with self._turn:
            while not self._closed:
                if self._next is None:
                    self._turn.wait()
                elif (left := self._next[2] - time.monotonic()) > 0:
                    self._turn.wait(left)
                else:
                    number, request, _ = self._next
                    self._next = None
                    return number, request
        return None


def _planned(planner: Planner, request: DryRun, limit: float) -> LaunchPlan | KjuError:
    try:
        return planner.plan(request, timeout=limit)
    except KjuError as error:
        return error
    except OSError as error:
        return KjuError(f"the dry run could not be started: {error}")


def make(order: CreateOrder, made: Callable[[Made], None]) -> None:
    """Make or change a machine, and start it, on a thread; then call back."""

    def run() -> None:
        made(_make(order))

    threading.Thread(target=run, name="kju-create", daemon=True).start()


def read_definition(name: str, done: Callable[[str, str | KjuError], None]) -> None:
    """Read a definition's text on a thread; then call back with the name and the text."""

    def run() -> None:
        done(name, _read(name))

    threading.Thread(target=run, name="kju-read", daemon=True).start()


def _make(order: CreateOrder) -> Made:
    written = False
    try:
        if order.old is None:
            definition = decode(order.text, DEFINITION_FILE, order.name)
            defining.create(order.name, definition, order.disk)
        elif order.text != order.old:
            defining.rewrite(order.name, order.old, order.text)
        written = True
        if order.start:
            start(order.name, detach=True).close()
    except KjuError as error:
        return Made(order, written, error)
    except OSError as error:
        return Made(order, written, KjuError(f"{order.name} could not be made: {error}"))
    return Made(order, written, None)


def _read(name: str) -> str | KjuError:
    try:
        folder = definitions_folder() / check_name(name)
        with Folder.open(folder, follow_own_link=True) as opened:
            return opened.read(DEFINITION_FILE, limit=definitions.MAX_BYTES).decode()
    except KjuError as error:
        return error
    except (OSError, UnicodeDecodeError) as error:
        return KjuError(f"the definition of {name} cannot be read: {error}")
