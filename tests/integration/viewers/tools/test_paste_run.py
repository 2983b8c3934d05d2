"""Typing of a paste, into hosts with real control sockets."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator

import pytest
from support.fake_host import FakeHost, fake_host
from support.posts import Posts
from support.wait import until

from kju.keys import layout
from kju.viewers.tools import paste_run
from kju.viewers.tools.paste import PastePlan
from kju.viewers.tools.paste_run import PasteResult, PasteRun, PasteTarget


class Typing:
    """A paste into machines."""

    def __init__(self, plan: PastePlan, *names: str) -> None:
        self.posts = Posts()
        self.progress: list[int] = []
        self.ends: list[PasteResult] = []
        plans = {PasteTarget(name): plan for name in names}
        self.run = PasteRun(plans, self.posts.post, self.progress.append, self.ends.append)

    def end(self) -> PasteResult:
        self.posts.until(lambda: self.ends, "the end of the paste")
        (end,) = self.ends
        return end


@pytest.fixture
def hosts(runtime_folder: None) -> Iterator[list[FakeHost]]:
    with fake_host("one") as one, fake_host("two") as two:
        for host in (one, two):
            host.machine.info = {"consoles": [{"keys_held": []}]}
        yield [one, two]


def typed(host: FakeHost) -> str:
    """Return the characters of the keys that a host got, on a US keyboard."""
    shift, found = False, ""
    characters = {stroke[0]: c for c, stroke in layout("us").chords.items() if len(stroke) == 1}
    for key, down in host.machine.steps:
        if key == 42:
            shift = down
        elif down:
            found += characters[(42, key) if shift else (key,)].replace("\r", "\n")
    return found


TEXT = "Hello, World!\n" * 10


def test_text_is_typed_in_every_machine(hosts: list[FakeHost]):
    typing = Typing(PastePlan.make(TEXT, "us"), "one", "two")
    end = typing.end()
    assert [typed(host) for host in hosts] == [TEXT, TEXT]
    assert end.words == f"typed {len(TEXT)} characters in 2 machines"
    assert typing.progress == sorted(typing.progress)
    for host in hosts:
        down = [key for key, pressed in host.machine.steps if pressed]
        assert sorted(down) == sorted(key for key, pressed in host.machine.steps if not pressed)


def test_failure_in_one_machine_does_not_stop_the_others(hosts: list[FakeHost]):
    end = Typing(PastePlan.make(TEXT, "us"), "gone", "two").end()
    assert typed(hosts[1]) == TEXT
    assert list(end.errors) == [PasteTarget("gone")]
    assert end.words.startswith("gone: typing stopped after 0 of 140 characters")
    assert end.words.endswith("; typed in 1 of 2 machines")


def test_each_machine_gets_its_own_plan(hosts: list[FakeHost]):
    plans = {
        PasteTarget("one"): PastePlan.make("ab", "us"),
        PasteTarget("two"): PastePlan.make("abc", "us"),
    }
    posts, ends = Posts(), list[PasteResult]()
    PasteRun(plans, posts.post, lambda _: None, ends.append)
    posts.until(lambda: ends, "the end")
    assert [typed(host) for host in hosts] == ["ab", "abc"]
    assert ends[0].total == 3


def test_cancelled_before_it_begins_types_nothing(hosts: list[FakeHost]):
    typing = Typing(PastePlan.make("x" * 100_000, "us"), "one")
    typing.run.cancel()
    end = typing.end()
    assert end.cancelled and "cancelled after" in end.words
    assert len(hosts[0].machine.steps) < 200_000


def test_cancel_ends_when_the_keys_of_every_machine_are_up(
    hosts: list[FakeHost], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(paste_run, "_RELEASE_SECONDS", 60.0)
    held = [30]
    hosts[0].machine.info = {"consoles": [{"keys_held": held}]}
    typing = Typing(PastePlan.make("x" * 100_000, "us"), "one", "two")
    until(lambda: all(host.machine.steps for host in hosts))
    typing.run.cancel()
    steady = time.monotonic() + 0.3
    typing.posts.until(lambda: time.monotonic() > steady)
    assert not typing.ends, "one holds a key"
    held.clear()
    assert typing.end().cancelled


def test_close_waits_for_the_thread(hosts: list[FakeHost]):
    typing = Typing(PastePlan.make("x" * 100_000, "us"), "one")
    until(lambda: hosts[0].machine.steps)
    typing.run.close()
    count = len(hosts[0].machine.steps)
    assert typing.end().cancelled
    assert len(hosts[0].machine.steps) == count


def test_missing_console_is_named(hosts: list[FakeHost]):
    calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    ends: list[PasteResult] = []
    target = PasteTarget("one", 7)
    PasteRun({target: PastePlan.make("x", "us")}, calls.put, lambda _: None, ends.append)
    calls.get(timeout=60)()
    assert "no console 7" in ends[0].words
