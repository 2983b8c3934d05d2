"""The snapshots of a machine as a tree, and the questions before something is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.wait import until

from kju.client.requests import Snapshot
from kju.desktop.actions import ActionRunner
from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.desktop.pages.snapshot_tree import (
    SnapshotForest,
    SnapshotModel,
    SnapshotWork,
    removal_question,
    tag_fault,
    unusable,
)
from kju.errors import KjuError, QemuError


def saved(
    tag: str, parent: str | None = None, *, current: bool = False, time: float = 0, size: int = 1
) -> Snapshot:
    return Snapshot(tag, time, size, parent=parent, current=current)


FAMILY = [
    saved("base"),
    saved("login", "base"),
    saved("update", "login", current=True),
    saved("other", "base"),
    saved("lone"),
]


def test_each_snapshot_stands_below_its_parent() -> None:
    nodes = SnapshotForest(FAMILY).nodes()
    assert [(node.snapshot.tag, node.depth) for node in nodes] == [
        ("base", 0), ("login", 1), ("update", 2), ("other", 1), ("lone", 0),
    ]  # fmt: skip


def test_here_is_the_snapshot_that_the_machine_descends_from() -> None:
    here = SnapshotForest(FAMILY).here
    assert here is not None
    assert here.tag == "update"
    assert SnapshotForest([saved("a")]).here is None


def test_everything_that_hangs_on_a_snapshot_is_found() -> None:
    forest = SnapshotForest(FAMILY)
    assert [each.tag for each in forest.below("base")] == ["login", "update", "other"]
    assert forest.below("lone") == []


def test_a_missing_parent_and_a_loop_make_roots() -> None:
    forest = SnapshotForest([saved("a", "b"), saved("b", "a"), saved("c", "gone"), saved("d", "d")])
    tags = sorted(node.snapshot.tag for node in forest.nodes())
    assert tags == ["a", "b", "c", "d"]
    assert "c" in [root.tag for root in forest.roots]


def test_a_chain_longer_than_the_limit_of_calls_is_drawn() -> None:
    chain = [saved("s0"), *(saved(f"s{n}", f"s{n - 1}") for n in range(1, 3000))]
    nodes = SnapshotForest(chain).nodes()
    assert nodes[-1].depth == 2999


def test_a_removal_names_what_is_removed_and_what_stays() -> None:
    forest = SnapshotForest(FAMILY)
    alone = removal_question(forest, "login", with_below=False)
    assert "Kept, and then on base: update." in alone
    whole = removal_question(forest, "base", with_below=True)
    assert "base and 3 below it" in whole
    assert "login, update, other" in whole


@pytest.mark.parametrize(
    ("snapshot", "part"),
    [
        (saved("ok"), ""),
        (saved("with/slash"), "another program"),
        (saved("7"), "another program"),
        (saved("disks", size=0), "no memory"),
        (saved("part")._replace(lacking=("b.qcow2 (qcow2)",)), "b.qcow2"),
    ],
)
def test_a_snapshot_that_cannot_be_loaded_has_a_reason(snapshot: Snapshot, part: str) -> None:
    assert part in unusable(snapshot)
    assert bool(unusable(snapshot)) is bool(part)


def test_names_of_new_snapshots_are_checked() -> None:
    forest = SnapshotForest(FAMILY)
    assert not tag_fault("2026-01-01_10.00.00", forest)
    for wrong in ("", "1234", "a b", "-x", "x" * 65, "base"):
        assert tag_fault(wrong, forest)


# ---- The model, with the work replaced by functions of the test


def entry(state: MachineState = MachineState.RUNNING) -> MachineEntry:
    return MachineEntry(MachineKey("", "web"), state, defined=True)


class Page:
    """A page without a toolkit, and a machine that only remembers what was asked of it."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.changes = 0
        self.asked: list[tuple[object, ...]] = []
        self.fails: KjuError | None = None
        work = SnapshotWork(lambda name, runs: FAMILY, self.act, self.act, self.act, self.act)
        self.model = SnapshotModel(
            ActionRunner(lambda run: None), self.calls.append, self.change, work
        )

    def act(self, *words: object) -> str:
        self.asked.append(words)
        if self.fails:
            raise self.fails
        return f"{words[1]} is done"

    def change(self) -> None:
        self.changes += 1

    def settle(self) -> None:
        until(lambda: self.calls)
        while self.calls:
            self.calls.pop(0)()


@pytest.fixture
def page() -> Page:
    return Page()


def test_the_snapshots_of_a_machine_are_read_when_it_is_shown(page: Page) -> None:
    page.model.show_machine(entry())
    page.settle()
    assert list(page.model.state.forest.by_tag) == [each.tag for each in FAMILY]


def test_a_new_state_of_the_same_kind_reads_nothing(page: Page) -> None:
    page.model.show_machine(entry())
    page.settle()
    page.model.show_machine(entry()._replace(viewers=("x",)))
    assert not page.calls


def test_a_save_shows_that_it_is_busy_and_then_its_result(page: Page) -> None:
    page.model.show_machine(entry())
    page.settle()
    page.model.save("new")
    assert page.model.state.busy == "saving new"
    page.settle()
    assert page.model.state.busy == ""
    assert page.model.state.message == "new is done"
    assert not page.model.state.failed


def test_a_failure_is_named_and_the_earlier_snapshots_stay(page: Page) -> None:
    page.model.show_machine(entry())
    page.settle()
    page.fails = QemuError("No space left, most likely; earlier snapshots are unchanged")
    page.model.save("new")
    page.settle()
    assert page.model.state.failed
    assert "No space left" in page.model.state.message
    assert len(page.model.state.forest.by_tag) == len(FAMILY)


def test_the_present_is_saved_before_a_load_if_asked(page: Page) -> None:
    page.model.show_machine(entry())
    page.settle()
    page.model.load("login", "before")
    page.settle()
    assert page.asked == [("web", "login", True, "before")]


def test_removing_with_what_hangs_on_it_begins_with_the_leaves(page: Page) -> None:
    page.model.show_machine(entry())
    page.settle()
    page.model.remove("base", with_below=True)
    page.settle()
    assert page.asked == [("web", ["other", "update", "login", "base"])]


def test_an_answer_for_another_machine_does_not_count(page: Page) -> None:
    page.model.show_machine(entry())
    page.model.show_machine(None)
    page.settle()
    assert not page.model.state.forest.by_tag


def test_another_program_that_saves_is_noticed(page: Page) -> None:
    page.model.show_machine(entry())
    page.settle()
    page.model.on_event(MachineKey("", "other"), "snapshot-saved")
    page.model.on_event(MachineKey("", "web"), "paused")
    assert not page.calls
    page.model.on_event(MachineKey("", "web"), "snapshot-saved")
    page.settle()


@pytest.mark.parametrize(
    ("shown", "part"),
    [
        (None, "no machine"),
        (MachineEntry(MachineKey("h", "web"), MachineState.RUNNING), "another computer"),
        (MachineEntry(MachineKey("", "web"), MachineState.ENDED), "no definition"),
    ],
)
def test_a_machine_without_snapshots_has_a_reason(
    page: Page, shown: MachineEntry | None, part: str
) -> None:
    page.model.show_machine(shown)
    assert part in page.model.refusal()
