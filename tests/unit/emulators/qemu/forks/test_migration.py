"""The commands with which QEMU saves and loads a frozen guest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kju.emulators.qemu.forks import migration
from kju.errors import ForkError, QemuError

FILE = Path("/dev/shm/state")


class AnsweringQmp:
    """Answers each command from a table; a list is answered one by one."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {name.replace("_", "-"): answer for name, answer in answers.items()}
        self.commands: list[tuple[str, Any]] = []

    async def execute(self, command: str, arguments: Any = None, timeout: float = 0) -> Any:
        self.commands.append((command, arguments))
        answer = self.answers.get(command, {})
        answer = answer.pop(0) if isinstance(answer, list) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def mapped_ram(self) -> list[bool]:
        return [
            arguments["capabilities"][0]["state"]
            for command, arguments in self.commands
            if command == "migrate-set-capabilities"
        ]


async def test_state_is_written_with_fixed_places_for_the_memory() -> None:
    qmp = AnsweringQmp(query_migrate=[{"status": "active"}, {"status": "completed"}])
    await migration.write_state(qmp, FILE)
    assert ("migrate", {"uri": f"file:{FILE}"}) in qmp.commands
    assert qmp.mapped_ram == [True, False]


@pytest.mark.parametrize("work", [migration.write_state, migration.load])
async def test_failure_has_the_reason_and_leaves_no_capability(work: Any) -> None:
    qmp = AnsweringQmp(query_migrate={"status": "failed", "error-desc": "No\nspace left"})
    with pytest.raises(QemuError, match="No space left"):
        await work(qmp, FILE)
    assert qmp.mapped_ram == [True, False]


async def test_slow_migration_is_cancelled_and_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migration, "TIMEOUT", 0)
    answers = [{"status": "active"}, {"status": "cancelling"}, {"status": "cancelled"}]
    qmp = AnsweringQmp(query_migrate=answers)
    with pytest.raises(QemuError, match="could not be saved: it took longer than 0 s"):
        await migration.write_state(qmp, FILE)
    assert ("migrate_cancel", None) in qmp.commands
    assert answers == []
    assert qmp.mapped_ram == [True, False]


async def test_blocked_guest_is_refused_with_the_reasons() -> None:
    await migration.check_blockers(AnsweringQmp())
    blocked = {"blocked-reasons": ["VirtFS is mounted"]}
    with pytest.raises(ForkError, match="VirtFS is mounted"):
        await migration.check_blockers(AnsweringQmp(query_migrate=blocked))


@pytest.mark.parametrize("answer", ["", QemuError("no such property")])
async def test_board_without_one_piece_of_memory_is_refused(answer: object) -> None:
    with pytest.raises(ForkError, match="-M"):
        await migration.memory_name(AnsweringQmp(qom_get=answer))


async def test_name_of_the_memory_is_that_of_its_object() -> None:
    assert await migration.memory_name(AnsweringQmp(qom_get="/machine/pc.ram")) == "pc.ram"


@pytest.mark.parametrize(
    ("status", "version", "why"),
    [
        ({"running": True, "status": "running"}, (9, 0), ""),
        ({"running": False, "status": "paused"}, (10, 0, 2), ""),
        ({"running": False, "status": "paused"}, (9, 2), "QEMU 10.0"),
        ({"running": False, "status": "postmigrate"}, (10, 0), "has not run since"),
    ],
)
async def test_paused_guest_is_frozen_where_it_can_go_on(
    status: dict[str, object], version: tuple[int, ...], why: str
) -> None:
    qmp = AnsweringQmp(query_status=status)
    if why:
        with pytest.raises(ForkError, match=why):
            await migration.check_state(qmp, version)
    else:
        await migration.check_state(qmp, version)
