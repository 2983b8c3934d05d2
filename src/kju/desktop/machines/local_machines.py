"""SHELL: follow all machines of this user on this computer: running, defined and ended ones.

One thread with an event loop does everything that may wait. It sleeps until a folder changes
(inotify) or a host sends an event; a host that does not answer delays nothing but its own entry.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ...client.aio.link import AsyncLink
from ...client.requests import Event, event_of
from ...errors import KjuError, MachineNotFoundError, WaitTimeoutError
from ...protocol.messages import Done, GetInfo, Info, Subscribe
from ...store import definitions, log_files, running
from ...store.paths import DEFINITION_FILE, NAME, Paths, definitions_folder, runtime_folder
from ...store.watching import FolderWatch
from .entry import MachineEntry, MachineKey, MachineState
from .facts import MachineFacts

#: Undefined machines that have ended and are still shown, newest last.
MAX_ENDED = 8
#: Name of this program in a host's list of clients.
_CLIENT_NAME = "kju desktop"
#: Seconds between a change of a folder and its reading: a start changes it many times.
_SETTLE_SECONDS = 0.05
#: Seconds between two looks for stopped hosts, while the wall is shown.
_STOPPED_SECONDS = 2.0
#: Seconds that a new folder may be without its host's lock: it is made first.
_CLAIM_SECONDS = 2.0
_RETRY_SECONDS = 0.05
_LONGEST_RETRY = 1.0
_CLOSE_SECONDS = 2.0


class MachineReports(Protocol):
    """Callbacks of `LocalMachines`, on its thread."""

    def entry_is(self, entry: MachineEntry) -> None:
        """Take a machine's newest entry."""

    def entry_gone(self, key: MachineKey) -> None:
        """Take the end of an entry: the machine neither runs nor is defined."""

    def scanned(self) -> None:
        """Take that all folders have been read once."""

    def event_happened(self, key: MachineKey, event: Event) -> None:
        """Take an event of a running machine."""


class _Defined:
    """One definition as it was read last."""

    def __init__(self) -> None:
        self.stamp = (0, 0, 0)
        self.labels: tuple[str, ...] = ()
        #: Why it cannot be used; empty if it can.
        self.fault = ""

    def read(self, name: str) -> None:
        """Read it again."""
        self.labels, self.fault = (), ""
        try:
            self.labels = tuple(definitions.read(name).definition.labels)
        except (KjuError, OSError) as error:
            self.fault = f"the definition is not valid: {error}"


class LocalMachines:
    """Follows the machines of this computer.

    Args:
        reports: Takes the results.
    """

    def __init__(self, reports: MachineReports) -> None:
        self._reports = reports
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = asyncio.Event()
        self._visible = asyncio.Event()
        self._defined: dict[str, _Defined] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._ended: deque[str] = deque()
        self._running: dict[str, MachineEntry] = {}
        self._ready = threading.Event()

    # ---- Any thread

    def open(self) -> None:
        """Start following."""
        self._thread = threading.Thread(target=self._run, name="kju-machines", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop following; returns when the thread has ended."""
        self._post(self._closing.set)
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def forget(self, name: str) -> None:
        """Drop the entry of a machine that has ended and is not defined."""
        self._post(lambda: self._forget(name))

    def set_visible(self, visible: bool) -> None:
        """Look for stopped hosts while the entries are shown."""
        self._post(self._visible.set if visible else self._visible.clear)

    def _post(self, call: Callable[[], None]) -> None:
        if self._thread is None or not self._ready.wait(_CLOSE_SECONDS) or self._loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call)

    # ---- The thread

    def _run(self) -> None:
        asyncio.run(self._follow_all())

    async def _follow_all(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        changed = asyncio.Event()
        with contextlib.closing(FolderWatch()) as watch:

            def read_changes() -> None:
                if watch.read():
                    changed.set()

            self._loop.add_reader(watch.fileno(), read_changes)
            stopped = asyncio.create_task(self._look_for_stopped())
            closing = asyncio.create_task(self._closing.wait())
            try:
                while not closing.done():
                    changed.clear()
                    self._scan(watch)
                    self._reports.scanned()
                    news = asyncio.create_task(changed.wait())
                    first = (news, closing)
                    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                    news.cancel()
                    if not closing.done():
                        await asyncio.wait((closing,), timeout=_SETTLE_SECONDS)
            finally:
                self._loop.remove_reader(watch.fileno())
                tasks = [stopped, closing, *self._followers.values()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _scan(self, watch: FolderWatch) -> None:
        """Read both folders, and add new machines."""
        with contextlib.suppress(KjuError, OSError):
            here = runtime_folder(create=False)

            def folders() -> set[Path]:
                # Folders without a definition too: one that is written after this look is reported.
                return {here, definitions_folder(), *definitions.folders()}

            watch.watch(folders)  # before reading: a change from here on is reported
            self._read_definitions()
            for name in _names_in(here):
                if name not in self._followers:
                    self._begin(name)

    def _begin(self, name: str) -> None:
        task = asyncio.create_task(self._follow(name), name=f"follow {name}")
        self._followers[name] = task
        task.add_done_callback(lambda done: self._follower_ended(name, done))

    def _follower_ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._followers.get(name) is task:
            del self._followers[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._report(MachineEntry(_key(name), MachineState.SILENT, reason=str(error)))

    # ---- Definitions

    def _read_definitions(self) -> None:
        names = set(definitions.names())
        for name in self._defined.keys() - names:
            del self._defined[name]
            self._show_stopped(name)
        for name in sorted(names):
            known = self._defined.get(name)
            stamp = _stamp(definitions_folder() / name / DEFINITION_FILE)
            if known is not None and known.stamp == stamp:
                continue
            known = self._defined.setdefault(name, _Defined())
            known.stamp = stamp
            known.read(name)
            if (entry := self._running.get(name)) is not None:
                self._report(entry)
            elif name not in self._followers:
                self._show_stopped(name)

    def _report(self, entry: MachineEntry) -> None:
        """Report the entry of a running machine, with the labels and faults of its definition."""
        defined = self._defined.get(entry.name)
        labels = defined.labels if defined else ()
        entry = entry._replace(labels=labels, defined=defined is not None)
        self._running[entry.name] = entry
        self._reports.entry_is(entry)

    def _show_stopped(self, name: str, reason: str = "", *, failed: bool = False) -> None:
        """Report a machine that does not run: off, ended, or neither."""
        key = _key(name)
        if name in self._running:
            return
        defined = self._defined.get(name)
        if defined is not None and not reason and log_files.last_run_failed(name):
            # It ended while nobody followed it.
            reason, failed = f"its last run failed; see kju logs {name}", True
        if defined is not None:
            state = MachineState.ENDED if failed else MachineState.OFF
            entry = MachineEntry(key, state, reason, labels=defined.labels, defined=True)
            self._drop_ended(name)
            faults = (defined.fault,) if defined.fault else ()
            self._reports.entry_is(entry._replace(warnings=faults))
        elif reason:
            self._drop_ended(name)
            self._ended.append(name)
            while len(self._ended) > MAX_ENDED:
                self._forget(self._ended[0])
            self._reports.entry_is(MachineEntry(key, MachineState.ENDED, reason))
        elif name not in self._ended:
            self._reports.entry_gone(key)

    def _drop_ended(self, name: str) -> None:
        with contextlib.suppress(ValueError):
            self._ended.remove(name)

    def _forget(self, name: str) -> None:
        self._drop_ended(name)
        if name not in self._running and name not in self._defined:
            self._reports.entry_gone(_key(name))

    # ---- One running machine

    async def _follow(self, name: str) -> None:
        """Follow one machine from its claim to its end, and its next life of the same name."""
        began, pause = time.monotonic(), _RETRY_SECONDS
        reason, failed, host = "", False, 0
        while True:
            if not _is_alive(name):
                if time.monotonic() - began > _CLAIM_SECONDS or name in self._running:
                    break
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if name not in self._running:
                self._report(MachineEntry(_key(name), MachineState.STARTING))
            if (found := running.host_pid(name)) not in (0, host):
                reason, failed, host = "", False, found
            facts = MachineFacts(os.getpid())
            try:
                await self._follow_life(name, facts)
            except WaitTimeoutError as error:
                self._report_silent(name, str(error))
            except MachineNotFoundError:
                pass  # its host does not listen yet, or no longer
            except KjuError as error:
                # Its first words name the machine, as the tile does.
                reason, failed = str(error).partition(": ")[2] or str(error), True
                if _is_alive(name):
                    # The next machine of this name.
                    self._report(MachineEntry(_key(name), MachineState.STARTING))
            if facts.ending:
                reason, failed = facts.ending, facts.failed
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_RETRY)
        was_shown = self._running.pop(name, None) is not None
        with contextlib.suppress(KjuError, OSError):
            running.sweep()
        if was_shown:
            without = f"its host ended during the start; see kju logs {name}"
            self._show_stopped(name, reason or without, failed=failed or not reason)
        elif name in self._defined:
            self._show_stopped(name)

    async def _follow_life(self, name: str, facts: MachineFacts) -> None:
        """Follow one connection to a host until it ends.

        Raises:
            KjuError: The reason of its end.
        """
        link = await AsyncLink.attach(name, "view", _CLIENT_NAME)
        try:
            info = await link.ask(GetInfo(), Info)
            facts.take_info(info.info)
            await link.ask(Subscribe(since=0), Done)
            self._report_facts(name, facts)
            while True:
                event = event_of(await link.next_event(None))
                if facts.take_event(event.name, event.data):
                    self._report_facts(name, facts)
                self._reports.event_happened(_key(name), event)
        finally:
            link.close()

    def _report_facts(self, name: str, facts: MachineFacts) -> None:
        entry = facts.entry(_key(name), labels=(), defined=False)
        if facts.ending:
            # Shown as running until it has ended: until then its name is taken.
            entry = entry._replace(reason=facts.ending)
        self._report(entry)

    # ---- Hosts that are stopped

    async def _look_for_stopped(self) -> None:
        """Report hosts that are stopped by a signal: no event reports it."""
        before: dict[str, MachineEntry] = {}
        while True:
            await self._visible.wait()
            for name, entry in list(self._running.items()):
                stopped = running.is_stopped(running.host_pid(name))
                if stopped and entry.state is not MachineState.SILENT:
                    before[name] = entry
                    self._report_silent(name, "its host process is stopped")
                elif not stopped and entry.state is MachineState.SILENT and name in before:
                    self._report(before.pop(name))
            for name in before.keys() - self._running.keys():
                del before[name]
            await asyncio.sleep(_STOPPED_SECONDS)

    def _report_silent(self, name: str, reason: str) -> None:
        entry = self._running.get(name) or MachineEntry(_key(name), MachineState.SILENT)
        self._report(entry._replace(state=MachineState.SILENT, reason=reason))


def _key(name: str) -> MachineKey:
    return MachineKey("", name)


def _is_alive(name: str) -> bool:
    return running.is_alive(Paths(runtime_folder(create=False) / name))


def _names_in(folder: Path) -> list[str]:
    """Return the names of the folders of machines, running or being started."""
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []
    return [name for name in entries if NAME.fullmatch(name)]


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return 0, 0, 0
    # The time alone is coarse: a write within the same tick of the clock leaves it as it is.
    return status.st_mtime_ns, status.st_ino, status.st_size
