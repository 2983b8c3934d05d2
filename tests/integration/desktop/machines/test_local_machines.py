"""The app follows this computer's machines: real hosts, and folders as commands make them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import xservers
from support.posts import Posts
from support.wait import until

import kju
from kju.client import launching
from kju.client.requests import Event
from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.desktop.machines.local_machines import MAX_ENDED
from kju.desktop.machines.machines import Machines
from kju.store import running
from kju.store.paths import definitions_folder

pytestmark = pytest.mark.usefixtures("runtime_folder")
S = MachineState


class Model:
    """A model, its changes and its events."""

    def __init__(self) -> None:
        self.posts = Posts()
        self.machines = Machines(self.posts.post)
        self.changes: list[MachineKey] = []
        self.events: list[tuple[MachineKey, Event]] = []
        self.machines.subscribe(lambda changed: self.changes.extend(changed))
        self.machines.subscribe_events(lambda key, event: self.events.append((key, event)))
        self.machines.open()

    def entry(self, name: str) -> MachineEntry | None:
        return self.machines.entries.get(MachineKey("", name))

    def until_state(self, name: str, state: MachineState | None) -> MachineEntry:
        def reached() -> bool:
            entry = self.entry(name)
            return (entry.state if entry else None) is state

        self.posts.until(reached, f"{name} is {state}, not {self.entry(name)}")
        entry = self.entry(name)
        return entry if entry is not None else MachineEntry(MachineKey("", name), S.OFF)


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.machines.close()
    assert "kju-machines" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def screen(runtime_folder: Path) -> Iterator[kju.Machine]:
    xservers.need("Xvfb")
    with kju.launch(xvfb=True, name="screen") as machine:
        yield machine


def define(name: str, text: str = "") -> Path:
    folder = definitions_folder() / name
    folder.mkdir(parents=True, mode=0o700)
    (folder / "machine.toml").write_text(text)
    return folder / "machine.toml"


def test_running_machine_is_found_and_its_end_is_shown(model: Model, screen: kju.Machine):
    found = model.until_state("screen", S.RUNNING)
    assert found.started is not None
    assert (found.screens, found.defined) == (1, False)
    screen.stop()
    ended = model.until_state("screen", S.ENDED)
    assert "stopped it" in ended.reason
    model.machines.forget(MachineKey("", "screen"))
    model.until_state("screen", None)


def test_programs_that_come_and_go_are_listed(model: Model, screen: kju.Machine):
    model.until_state("screen", S.RUNNING)
    assert model.entry("screen").controllers == ()  # this process is the app itself
    program = 'import kju, sys; m = kju.attach("screen", "view"); sys.stdin.read()'
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    try:
        model.posts.until(lambda: len(model.entry("screen").viewers) == 1, "the viewer is listed")
    finally:
        other.kill()
        other.communicate()
    model.posts.until(lambda: not model.entry("screen").viewers, "the viewer has left")
    names = [event.name for key, event in model.events if key.name == "screen"]
    assert names.index("started") < names.index("client-disconnected")


def test_killed_host_is_noticed_at_once_and_cleared_away(model: Model, runtime_folder: Path):
    xservers.need("Xvfb")
    machine = kju.launch(xvfb=True, name="killed", detach=True)
    with machine:
        model.until_state("killed", S.RUNNING)
        os.kill(machine.host_pid, signal.SIGKILL)
        ended = model.until_state("killed", S.ENDED)
        assert "closed the connection" in ended.reason
    model.posts.until(lambda: not (runtime_folder / "killed").exists(), "the folder is removed")


def test_stopped_host_delays_no_other_and_is_named(model: Model, screen: kju.Machine):
    with kju.launch(xvfb=True, name="stuck", detach=True) as stuck:
        model.until_state("stuck", S.RUNNING)
        model.machines.set_visible(True)
        os.kill(stuck.host_pid, signal.SIGSTOP)
        try:
            assert "stopped" in model.until_state("stuck", S.SILENT).reason
            screen.stop()
            model.until_state("screen", S.ENDED)
        finally:
            os.kill(stuck.host_pid, signal.SIGCONT)
        model.until_state("stuck", S.RUNNING)
        stuck.stop()


def test_definition_written_long_after_its_folder_is_followed(model: Model):
    folder = definitions_folder() / "late"
    folder.mkdir(parents=True, mode=0o700)
    define("other")  # its entry is shown after a look at both folders
    model.until_state("other", S.OFF)
    assert model.entry("late") is None
    (folder / "machine.toml").write_text('labels = ["late"]\n')
    assert model.until_state("late", S.OFF).defined


def test_definitions_are_followed(model: Model):
    assert model.machines.entries == {}
    file = define("web", 'labels = ["shop", "front"]\n')
    found = model.until_state("web", S.OFF)
    assert (found.labels, found.defined) == (("shop", "front"), True)
    new = file.with_name("new")
    new.write_text('labels = ["back"]\n')
    new.replace(file)
    model.posts.until(lambda: model.entry("web").labels == ("back",), "the new labels")
    file.unlink()
    model.until_state("web", None)


def test_wrong_definition_is_shown_with_its_fault(model: Model):
    file = define("wrong", "this is not TOML")
    found = model.until_state("wrong", S.OFF)
    assert "machine.toml:1" in found.warnings[0]
    file.write_text('labels = ["good"]')
    model.posts.until(lambda: model.entry("wrong").warnings == ())
    assert model.entry("wrong").labels == ("good",)


def test_defined_machine_that_was_killed_without_the_app_is_shown_as_ended(runtime_folder: Path):
    launching.define("web", memory="16M")
    machine = launching.start("web", detach=True)
    os.kill(machine.host_pid, signal.SIGKILL)
    machine.close()
    until(lambda: running.sweep() == ["web"], what="it is cleared away")
    model = Model()
    try:
        ended = model.until_state("web", S.ENDED)
        assert ended.reason == "its last run failed; see kju logs web"
        with launching.start("web", detach=True) as again:
            model.until_state("web", S.RUNNING)
            again.stop()
        assert "stopped it" in model.until_state("web", S.OFF).reason
    finally:
        model.machines.close()
    after = Model()
    try:
        assert after.until_state("web", S.OFF).reason == ""
    finally:
        after.machines.close()


def test_claimed_name_is_starting_until_its_host_answers(model: Model):
    claim = running.claim("slow")
    try:
        model.until_state("slow", S.STARTING)
    finally:
        claim.release()
    assert model.until_state("slow", S.ENDED).reason.endswith("see kju logs slow")
    define("slow")
    model.until_state("slow", S.OFF)
    running.claim("slow").release()
    running.claim("slow").release()
    claim = running.claim("slow")
    model.until_state("slow", S.STARTING)
    claim.release()
    assert "during the start" in model.until_state("slow", S.ENDED).reason


def test_names_that_are_no_machines_are_left_alone(model: Model, runtime_folder: Path):
    runtime_folder.mkdir(mode=0o700, exist_ok=True)
    (runtime_folder / ".hidden").mkdir()
    (runtime_folder / "a b").mkdir()
    define("real")
    model.until_state("real", S.OFF)
    assert [key.name for key in model.machines.entries] == ["real"]


def test_ended_machines_are_bounded(model: Model):
    for number in range(MAX_ENDED + 3):
        claim = running.claim(f"m{number}")
        model.until_state(f"m{number}", S.STARTING)
        claim.release()
        model.until_state(f"m{number}", S.ENDED)
    model.posts.until(lambda: len(model.machines.entries) == MAX_ENDED)
    assert model.entry("m0") is None


def test_descriptors_and_threads_are_flat_over_many_lives(model: Model):
    def counts() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    def live(name: str) -> None:
        claim = running.claim(name)
        model.until_state(name, S.STARTING)
        claim.release()
        model.until_state(name, S.ENDED)

    for number in range(3):
        live(f"first-{number}")
    before = counts()
    for number in range(20):
        live(f"m{number}")
    model.posts.until(lambda: counts() <= before, f"{counts()} is {before} again")
