"""Dry runs: the command and errors of a launch, and nothing is started or left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import guests

import kju
import kju.aio
from kju.cli.machines import defined
from kju.client.planning import Planner
from kju.client.requests import dry_run_of
from kju.errors import (
    ConflictError,
    DefinitionError,
    KjuError,
    MachineExistsError,
    MachineNotFoundError,
    QemuError,
    UsageError,
)
from kju.store import defining
from kju.store.machine_toml import Definition

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("runtime_folder")]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "d.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"], check=True)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data" / "kju" / "machines"


def files(folder: Path) -> set[str]:
    """Return all files below a folder, but the remembered accelerator and locks."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {path for path in found if not path.endswith((".accelerator.json", ".lock"))} - {"kju"}


def without_numbers(words: Any) -> list[str]:
    """Return arguments without the descriptors that QEMU inherits."""
    return [word.partition(",fd=")[0] for word in words]


@pytest.mark.parametrize("old", [True, False], ids=["7.2", "installed"])
def test_plan_is_what_a_launch_runs(disk: Path, old: bool) -> None:
    qemu = str(guests.qemu72() if old else guests.qemu())
    options: dict[str, Any] = {
        "name": "m", "memory": "64M", "cpus": 2, "args": guests.TCG, "qemu": qemu,
    }  # fmt: skip
    plan = kju.plan_launch(disk, **options)
    with kju.launch(disk, **options) as machine:
        info = machine.info()
        command = Path(f"/proc/{info['qemu']['pid']}/cmdline").read_text().split("\0")[:-1]
    # The program may be a script that puts arguments of its own before these.
    words = plan.command[1:]
    assert without_numbers(words) == without_numbers(command[-len(words) :])
    assert [reason for _, reason in plan.appended] == [part["reason"] for part in info["appended"]]
    assert list(plan.notes) == info["notes"]
    for key in ("accelerator", "disks", "serial", "temporary"):
        assert plan.info[key] == info[key]
    assert (plan.name, plan.kind) == ("m", "qemu")
    assert plan.info["image"]["kind"] == "disk"
    assert plan.command_line.startswith(f"{qemu} -accel tcg ")


def test_dry_run_leaves_no_file_and_no_process(
    tmp_path: Path, disk: Path, data: Path, state_folder: Path
) -> None:
    uefi = any(Path("/usr/share/qemu/firmware").glob("*edk2*x86_64*.json"))
    defining.create("web", Definition(image=str(disk), firmware="uefi" if uefi else "bios"))
    before = files(tmp_path)
    with Planner() as planner:
        planner.plan(dry_run_of("web"))
        plan = planner.plan(dry_run_of("new", f"disks = ['{disk}']", new=True, disk="20G"))
    assert f"{data}/new/disk.qcow2," in plan.command_line
    surface = tmp_path / "surface"
    kju.plan_launch(disk, surface=surface, args=guests.TCG)
    kju.plan_launch(xvfb=True)
    assert files(tmp_path) == before
    assert not any(entry.is_alive for entry in kju.machines())


_DISK = "d.qcow2"


@pytest.mark.parametrize(
    ("kind", "option", "options"),
    [
        (UsageError, "image", {"image": "nowhere.img"}),
        (UsageError, "image", {"image": "."}),
        (UsageError, None, {"memory": "lots"}),
        (UsageError, None, {"cpus": 0}),
        (UsageError, None, {"disk_bus": "scuzzy"}),
        (UsageError, None, {"name": "a b"}),
        (UsageError, None, {"surface": "/nowhere/at/all"}),
        (UsageError, None, {"log_level": "loud"}),
        (ConflictError, "memory", {"memory": "1G", "args": ["-m", "2G"]}),
        (ConflictError, "cpus", {"cpus": 2, "args": ["-smp", "2"]}),
        (ConflictError, "arguments", {"args": ["-display", "gtk"]}),
        (ConflictError, "disk_bus", {
            "image": _DISK, "disk_bus": "nvme", "args": ["-M", "microvm"],
        }),
        (QemuError, "arguments", {"args": ["-M", "nosuch"]}),
        (QemuError, "qemu", {"qemu": "/nowhere/qemu"}),
        (QemuError, "qemu", {"qemu": "/bin/true"}),
        (ConflictError, None, {"xvfb": True, "memory": "1G"}),
    ],
)  # fmt: skip
def test_errors_are_those_of_a_launch(
    monkeypatch: pytest.MonkeyPatch,
    disk: Path,
    kind: type[KjuError],
    option: str | None,
    options: dict[str, Any],
) -> None:
    monkeypatch.chdir(disk.parent)
    with pytest.raises(kind) as planned:
        kju.plan_launch(**options)
    with pytest.raises(kind) as launched:
        kju.launch(**options)
    assert str(planned.value) == str(launched.value)
    assert type(planned.value) is type(launched.value)
    assert planned.value.option == option


_TCG = guests.TCG


@pytest.mark.parametrize(
    ("option", "words", "options"),
    [
        ("arguments", "mean virtio-vga", {"args": [*_TCG, "-device", "virtio-vgaa"]}),
        ("arguments", "mean max_outputs", {"args": [*_TCG, "-device", "virtio-vga,max_output=2"]}),
        ("arguments", "mean qemu64", {"args": [*_TCG, "-cpu", "qemu65"]}),
        ("arguments", "in use|uses it", {"args": [*_TCG, "-nic", "user,hostfwd=tcp::PORT-:22"]}),
        ("memory", "than this computer has", {"args": _TCG, "memory": "900G"}),
        ("image", "is not a qcow2 disk", {"args": _TCG, "image": "other.qcow2"}),
        ("image", "in use by 'holder'", {"args": _TCG, "image": _DISK}),
        ("arguments", "in use by 'holder'", {"args": [*_TCG, "-hda", _DISK]}),
    ],
)  # fmt: skip
def test_faults_that_qemu_reports_are_found_before_it_starts(
    monkeypatch: pytest.MonkeyPatch,
    disk: Path,
    option: str,
    words: str,
    options: dict[str, Any],
) -> None:
    monkeypatch.chdir(disk.parent)
    Path("other.qcow2").write_bytes(b"no header" * 1000)
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        port = str(server.getsockname()[1])
        options["args"] = [word.replace("PORT", port) for word in options["args"]]
        if "holder" in words:
            stack.enter_context(kju.launch(disk, name="holder", args=_TCG))
        with pytest.raises(UsageError, match=words) as planned:
            kju.plan_launch(**options)
        with pytest.raises(QemuError):
            kju.launch(**options)
    assert planned.value.option == option


def test_faults_of_a_start_do_not_concern_the_machine_that_runs(disk: Path, data: Path) -> None:
    """A running machine is edited: it uses its own disk and port."""
    defining.create("web", Definition(image=str(disk), arguments=list(_TCG)))
    with kju.start("web"), Planner() as planner:
        text = (data / "web" / "machine.toml").read_text()
        assert planner.plan(dry_run_of("web", text)).name == "web"
        with pytest.raises(UsageError, match="in use by 'web'"):
            planner.plan(dry_run_of("other", text.replace('"web"', '"other"'), new=True))


def test_name_of_a_running_machine_is_taken() -> None:
    with kju.launch(name="taken", args=[*guests.TCG, "-m", "32", "-vga", "none"]):
        with pytest.raises(MachineExistsError) as planned:
            kju.plan_launch(name="taken")
        with pytest.raises(MachineExistsError) as launched:
            kju.launch(name="taken")
    assert str(planned.value) == str(launched.value)


def _start(name: str) -> object:
    return kju.start(name)


@pytest.mark.parametrize("do", [kju.plan_start, _start], ids=["plan", "start"])
def test_errors_are_those_of_a_start(disk: Path, data: Path, do: Callable[[str], object]) -> None:
    with pytest.raises(MachineNotFoundError, match="no machine 'web' is defined"):
        do("web")
    defining.create("web", Definition(image=str(disk)))
    file = data / "web" / "machine.toml"
    disk.rename(disk.with_name("gone"))
    with pytest.raises(
        DefinitionError, match=r"machine\.toml:2: image: .* cannot be read"
    ) as error:
        do("web")
    disk.with_name("gone").rename(disk)
    file.write_text("colour = 1\n")
    with pytest.raises(DefinitionError, match=r"machine\.toml:1: colour: unknown key"):
        do("web")
    file.write_text(f"image = '{disk}'\n")
    defining.clone("web", "test")
    with pytest.raises(ConflictError, match="cannot start while it has clones"):
        do("web")
    if do is kju.plan_start:
        assert (error.value.key, error.value.line, error.value.file) == ("image", 2, str(file))


def test_definition_is_planned_before_it_is_written(disk: Path, data: Path) -> None:
    defining.create("web", Definition(image=str(disk)))
    with Planner() as planner:
        with pytest.raises(MachineExistsError, match="defined already"):
            planner.plan(dry_run_of("web", "", new=True))
        plan = planner.plan(dry_run_of("web", "memory = '48M'\n"))
        assert "-m 48M" in plan.command_line
        with pytest.raises(UsageError, match="invalid disk size") as error:
            planner.plan(dry_run_of("new", "", new=True, disk="20"))
        assert error.value.option == "disk"
        with pytest.raises(DefinitionError, match="unknown key"):
            planner.plan(dry_run_of("web", "colour = 1\n"))
        # An installation: the CD is the image, the new disk stands before the others.
        text = f"image = '{disk}'\ndisks = ['{disk}']\n"
        plan = planner.plan(dry_run_of("new", text, new=True, disk="20G"))
        paths = [found["path"] for found in plan.info["disks"]]
        assert paths == [str(disk), str(data / "new" / "disk.qcow2"), str(disk)]


def test_later_dry_runs_ask_qemu_nothing(tmp_path: Path) -> None:
    """The first asks the program for its version and its board; a new program is asked again."""
    real, log = guests.qemu(), tmp_path / "runs"
    script = tmp_path / "qemu-system-x86_64"

    def write() -> None:
        script.write_text(f'#!/bin/sh\necho run >> {log}\nexec {real} "$@"\n')
        script.chmod(0o755)

    write()
    with Planner() as planner:
        for number in range(1, 5):
            planner.plan(dry_run_of("m", f"qemu = '{script}'\nmemory = '{number}M'\n", new=True))
            if number == 1:
                first = len(log.read_text().splitlines())
        assert first >= 3
        assert len(log.read_text().splitlines()) == first
        script.unlink()
        write()
        os.utime(script, (1, 1))
        planner.plan(dry_run_of("m", f"qemu = '{script}'\n", new=True))
        assert len(log.read_text().splitlines()) > first


def test_asyncio_has_the_same(disk: Path) -> None:
    async def plans() -> None:
        plan = await kju.aio.plan_launch(disk, name="m", args=guests.TCG)
        assert plan.command == kju.plan_launch(disk, name="m", args=guests.TCG).command
        with pytest.raises(MachineNotFoundError):
            await kju.aio.plan_start("none")

    asyncio.run(plans())


def test_command_prints_the_command_line_and_the_reasons(
    disk: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    defining.create("web", Definition(image=str(disk), memory="64M"))
    defined.start("web", dry_run=True)
    out, err = capsys.readouterr()
    assert out == kju.plan_start("web").command_line + "\n"
    assert "-m 64M: asked for (memory)\n" in err
    done = subprocess.run(
        [sys.executable, "-m", "kju.cli", "run", "--dry-run", str(disk), "--", "-accel", "tcg"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 1
    assert f"disk {disk}: ide, where QEMU itself puts a disk" in done.stderr
    assert not any(entry.is_alive for entry in kju.machines())
