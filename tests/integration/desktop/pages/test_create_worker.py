"""The create page's threads: the newest dry run wins, a hanging one is bounded, orders are made."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.wait import until

from kju.client.requests import LaunchPlan, dry_run_of
from kju.desktop.pages.create import CreateOrder
from kju.desktop.pages.create_worker import DryRuns, Made, make, read_definition
from kju.errors import (
    ConflictError,
    DefinitionError,
    KjuError,
    MachineExistsError,
    WaitTimeoutError,
)
from kju.store import defining, definitions
from kju.store.machine_toml import Definition

pytestmark = pytest.mark.usefixtures("runtime_folder")
#: A bound of a hang on a busy computer.
BOUND = 60.0


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "kju" / "machines"


class Asked:
    """Dry runs, and the queue of their answers."""

    def __init__(self, **options: float) -> None:
        self.answers: queue.Queue[tuple[int, LaunchPlan | KjuError]] = queue.Queue()
        self.runs = DryRuns(lambda *answer: self.answers.put(answer), **options)

    def ask(self, number: int, text: str = "", name: str = "m") -> None:
        self.runs.ask(number, dry_run_of(name, text, new=True))

    def answer(self) -> tuple[int, LaunchPlan | KjuError]:
        return self.answers.get(timeout=BOUND)


@pytest.fixture
def asked(data: Path) -> Iterator[Asked]:
    asked = Asked(quiet=0.05)
    yield asked
    asked.runs.close()


def planner_threads() -> int:
    return sum(thread.name == "kju-plan" for thread in threading.enumerate())


def test_only_the_newest_of_many_is_answered(asked: Asked) -> None:
    asked.ask(0)
    asked.answer()
    for number in range(1, 101):
        asked.ask(number, f"memory = '{number}M'\n")
    number, plan = asked.answer()
    while number != 100:
        number, plan = asked.answer()
    assert isinstance(plan, LaunchPlan)
    assert plan.command[plan.command.index("-m") + 1] == "100M"
    assert asked.answers.empty()


def test_errors_are_answers(asked: Asked) -> None:
    asked.ask(1, "memory = 'lots'")
    number, error = asked.answer()
    assert number == 1 and isinstance(error, DefinitionError) and error.key == "memory"
    asked.ask(2, "image = '/nowhere'")
    _, error = asked.answer()
    assert isinstance(error, DefinitionError) and error.key == "image"


def test_dry_run_that_hangs_is_given_up_and_the_next_one_works(data: Path) -> None:
    """A stopped process stands for one that waits for a disk that hangs."""
    asked = Asked(quiet=0.0, limit=BOUND)
    try:
        asked.ask(1)
        asked.answer()
        (host,) = children("kju.host")
        asked.runs._limit = 0.5
        os.kill(host, signal.SIGSTOP)
        asked.ask(2)
        number, error = asked.answer()
        assert number == 2 and isinstance(error, WaitTimeoutError)
        assert "a disk or QEMU does not answer" in str(error)
        asked.runs._limit = BOUND
        asked.ask(3)
        number, plan = asked.answer()
        assert number == 3 and isinstance(plan, LaunchPlan)
        assert host not in children("kju.host")
    finally:
        asked.runs.close()
    until(lambda: not planner_threads() and not children("kju.host"), "all ends")


def children(word: str) -> list[int]:
    """Return this process's children with a word in their command line."""
    found = []
    for pid in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        for number in map(int, pid.read_text().split()):
            try:
                if word.encode() in Path(f"/proc/{number}/cmdline").read_bytes():
                    found.append(number)
            except OSError:
                pass  # it has ended
    return found


def test_thread_rests_while_nothing_is_asked(asked: Asked) -> None:
    asked.ask(1)
    asked.answer()
    before = time.process_time()
    with pytest.raises(queue.Empty):
        asked.answers.get(timeout=1.0)
    assert time.process_time() - before < 0.1


def made(order: CreateOrder) -> Made:
    ends: queue.Queue[Made] = queue.Queue()
    make(order, ends.put)
    return ends.get(timeout=BOUND)


def test_order_defines_a_machine_with_a_disk(data: Path) -> None:
    end = made(CreateOrder("web", 'memory = "64M"\n', None, "1M", start=False))
    assert (end.written, end.error) == (True, None)
    assert (data / "web" / "disk.qcow2").exists()
    assert definitions.read("web").definition.memory == "64M"
    again = made(CreateOrder("web", "", None, "", start=False))
    assert not again.written and isinstance(again.error, MachineExistsError)


def test_order_changes_a_definition_unless_another_program_has(data: Path) -> None:
    defining.create("web", Definition(cpus=2))
    file = data / "web" / "machine.toml"
    old = file.read_text()
    new = old.replace("2", "4") + "# note\nfuture = 1\n"
    assert made(CreateOrder("web", new, old, "", start=False)).error is None
    assert file.read_text() == new
    end = made(CreateOrder("web", "cpus = 1\n", old, "", start=False))
    assert isinstance(end.error, ConflictError) and file.read_text() == new
    end = made(CreateOrder("web", "cpus = 'x'\n", new, "", start=False))
    assert isinstance(end.error, DefinitionError) and file.read_text() == new


def test_definition_is_read_on_a_thread(data: Path) -> None:
    defining.create("web", Definition(cpus=2))
    ends: queue.Queue[tuple[str, str | KjuError]] = queue.Queue()
    for name in ("web", "other", "../x"):
        read_definition(name, lambda *end: ends.put(end))
    found = dict(ends.get(timeout=BOUND) for _ in range(3))
    assert found["web"] == (data / "web" / "machine.toml").read_text()
    assert isinstance(found["other"], KjuError) and isinstance(found["../x"], KjuError)
