"""A host with a hostile QEMU: its data is rejected and logged, and the end has a clear reason."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import fake_qemu
from support.wait import until

import kju
import kju.aio
from kju.errors import LimitError, MachineGoneError, QemuError, WaitTimeoutError


@pytest.fixture(autouse=True)
def folder(runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KJU_FAKE_PATH", ":".join(p for p in sys.path if p))
    yield
    assert {path.name for path in runtime_folder.iterdir()} <= {".lock", ".accelerator.json"}


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(
        '#!/bin/sh\nPYTHONPATH="$KJU_FAKE_PATH" exec '
        f'{shlex.quote(sys.executable)} {shlex.quote(fake_qemu.__file__)} "$@"\n'
    )
    program.chmod(0o755)

    def run(how: str) -> kju.Machine:
        monkeypatch.setenv("KJU_FAKE", how)
        return kju.launch(name="m", args=["-accel", "tcg"], qemu=str(program))

    return run


def test_fake_qemu_starts_as_a_machine(launch) -> None:
    with launch("well@never") as machine:
        until(lambda: machine.screen.mode[:2] == (64, 48))
        (console,) = machine.info()["consoles"]
        assert len(console["label"]) <= 256


@pytest.mark.parametrize(
    "how",
    [
        *("garbage", "deep", "huge", "list", "noise", "end", "error"),
        *("garbage@qmp_capabilities", "wrong@query-status", "list@query-status"),
        *("deep@query-status", "huge@query-status", "unhashable@query-status"),
        *("error@getfd", "garbage@add_client", "noise@bus", "end@bus"),
    ],
)
def test_hostile_start_is_a_one_line_error(launch, how: str) -> None:
    with pytest.raises(QemuError) as caught:
        launch(how)
    assert "\n" not in str(caught.value)
    assert 20 < len(str(caught.value)) < 600
    assert "host failed" not in str(caught.value), "the host raised an unexpected error"


@pytest.mark.parametrize("how", ["garbage", "deep", "huge", "list", "noise", "unhashable"])
def test_broken_qmp_ends_the_machine_with_a_reason(launch, how: str) -> None:
    with launch(f"{how}@ready") as machine:
        assert machine.wait_ended(timeout=60)
        assert "QMP" in (machine.end_reason or "")
        machine.close()
        assert machine._child.returncode == 4


LOST = ("end@query-block", "huge@query-block", "wrong@query-block", "end@stop",
        "garbage@snapshot-save", "end@snapshot-save", "end@query-jobs")  # fmt: skip


@pytest.mark.parametrize("how", LOST)
def test_loss_of_qmp_during_a_snapshot_is_an_error(launch, how: str) -> None:
    with launch(how) as machine, pytest.raises((QemuError, MachineGoneError)) as caught:
        machine.snapshots.save("a", timeout=60)
    said = str(caught.value)
    assert "\n" not in said and "QEMU" in said


def test_oversized_answer_fails_only_its_request(launch) -> None:
    with launch("long@human-monitor-command") as machine, kju.attach("m") as other:
        with pytest.raises(LimitError, match=r"human-monitor-command has 12\d{6} bytes"):
            machine.qmp("human-monitor-command", **{"command-line": "info tlb"})
        for client in (machine, other):
            assert client.qmp("query-status") == {"running": True}


def test_qemu_that_disconnects_and_exits_is_reported_as_ended(launch) -> None:
    with launch("end@ready") as machine:
        assert machine.wait_ended(timeout=60)
        assert "QEMU ended with status 0" in (machine.end_reason or "")


def test_invalid_events_are_ignored(launch) -> None:
    with launch("odd@ready") as machine:
        until(lambda: machine.screen.mode[:2] == (64, 48))
        assert machine.info()["state"] == "running"
        with pytest.raises(WaitTimeoutError):
            machine.wait_ended(timeout=0.2)


@pytest.mark.parametrize("how", ["noise@listener", "end@listener", "garbage@listener"])
def test_broken_listener_is_replaced(launch, how: str) -> None:
    with launch(how) as machine:
        until(lambda: machine.screen.mode[:2] == (64, 48))
        assert machine.info()["state"] == "running"


def test_too_many_consoles_are_an_error(launch) -> None:
    with launch("well@many") as machine:
        assert len(machine.screens) == 16


def test_key_that_qemu_refuses_late_is_raised_by_the_next_call(launch) -> None:
    with (
        launch("refuse@input-send-event") as machine,
        pytest.raises(QemuError, match="no room"),
    ):
        # The host answers before QEMU does, unless it still searches for the keyboard.
        machine.keyboard.press("a")
        until(lambda: machine.keyboard.release("b") is None)


async def test_key_that_qemu_refuses_late_is_raised_by_the_next_call_of_asyncio(launch) -> None:
    with launch("refuse@input-send-event"):
        async with await kju.aio.attach("m") as machine, asyncio.timeout(60):
            with pytest.raises(QemuError, match="no room"):
                while True:
                    await machine.keyboard.press("b")
