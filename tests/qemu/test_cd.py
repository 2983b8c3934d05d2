"""The CD in a running machine's drive: another one, none, and a reset of the guest."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.wait import HANG

import kju
from kju.cli import app
from kju.errors import RoleError, UsageError

pytestmark = pytest.mark.qemu


def iso(path: Path) -> Path:
    """Write the smallest file that is taken for a CD."""
    data = bytearray(0x9000)
    data[0x8001:0x8006] = b"CD001"
    path.write_bytes(data)
    return path


def medium(machine: kju.Machine) -> str:
    """Return the file in the CD drive, as QEMU reports it."""
    blocks: list[dict[str, Any]] = machine.qmp("query-block")
    (drive,) = (block for block in blocks if block["removable"])
    return str(drive["inserted"]["file"]) if "inserted" in drive else ""


@pytest.fixture(scope="module")
def machine(shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("cd")
    with kju.launch(iso(folder / "first.iso"), name="reader", memory="32M") as found:
        yield found


def test_a_cd_is_changed_and_stays_over_a_reset(machine: kju.Machine, tmp_path: Path) -> None:
    second = iso(tmp_path / "second.iso")
    with machine.events(timeout=HANG) as events:
        machine.change_cd(second)
        assert medium(machine) == str(second)
        machine.reset()
        happened = {}
        while "reset" not in happened:
            event = next(events)
            happened[event.name] = event.data
    assert medium(machine) == str(second)
    assert happened["cd-changed"] == {"file": str(second)}


def test_a_cd_is_ejected_and_put_in_again(machine: kju.Machine, tmp_path: Path) -> None:
    machine.change_cd(None)
    assert medium(machine) == ""
    third = iso(tmp_path / "third, with = and ,.iso")
    machine.change_cd(third)
    assert medium(machine) == str(third)


def test_a_file_that_is_no_cd_leaves_the_old_one(machine: kju.Machine, tmp_path: Path) -> None:
    kept = iso(tmp_path / "kept.iso")
    machine.change_cd(kept)
    disk = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1M"], check=True)
    with pytest.raises(UsageError, match="is a disk, not a CD"):
        machine.change_cd(disk)
    with pytest.raises(UsageError, match="cannot be read"):
        machine.change_cd(tmp_path / "missing.iso")
    with pytest.raises(UsageError, match="is a folder"):
        machine.change_cd(tmp_path)
    assert medium(machine) == str(kept)


def test_a_viewer_may_not_change_it(machine: kju.Machine, tmp_path: Path) -> None:
    with kju.attach("reader", role="view") as viewer, pytest.raises(RoleError):
        viewer.change_cd(None)


def test_the_command_changes_and_ejects(
    machine: kju.Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fourth = iso(tmp_path / "fourth.iso")
    monkeypatch.chdir(tmp_path)
    assert app.run(["cd", "reader", "fourth.iso"]) == 0
    assert medium(machine) == str(fourth)
    assert app.run(["cd", "reader", "--eject"]) == 0
    assert medium(machine) == ""
    assert "CD ejected" in capsys.readouterr().out
    assert app.run(["cd", "reader"]) == 2


def test_a_machine_without_a_drive_says_so(shared_runtime_folder: None, tmp_path: Path) -> None:
    with (
        kju.launch(name="none", memory="16M") as machine,
        pytest.raises(UsageError, match="none has no CD drive"),
    ):
        machine.change_cd(iso(tmp_path / "a.iso"))
