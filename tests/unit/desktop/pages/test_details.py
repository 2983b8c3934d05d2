"""Details of a machine as rows."""

from __future__ import annotations

from typing import Any

from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.desktop.pages.details import details, guest_memory, rate_text
from kju.store.machine_toml import Definition

ENTRY = MachineEntry(
    MachineKey("", "web"), MachineState.RUNNING, started=100.0, warnings=("disk error",),
    labels=("lab",), defined=True,
)  # fmt: skip
INFO: dict[str, Any] = {
    "name": "web",
    "kind": "qemu",
    "detached": True,
    "host": {"pid": 7},
    "qemu": {"pid": 8, "version": "10.0.2", "architecture": "x86_64", "arguments": ["-m", "512"]},
    "accelerator": {"name": "tcg", "reason": "no KVM"},
    "appended": [{"arguments": ["-name", "web"], "reason": "the machine's name"}],
    "notes": ["a note"],
    "disks": [
        {"path": "/d.qcow2", "bus": "ide", "layers": [{}, {"role": "backing", "path": "/b"}]}
    ],
    "consoles": [{"width": 800, "height": 600, "source": "vram", "rate": 2.0}],
    "clients": [
        {"pid": 9, "role": "control", "name": "kju"},
        {"pid": 10, "role": "view"},
        {"pid": 11},
    ],
}


def rows(**options: Any) -> dict[str, dict[str, str]]:
    return {
        section.title: {row.name: row.value for row in section.rows}
        for section in details(ENTRY, **options)
    }


def test_a_running_machine_has_everything() -> None:
    definition = Definition(image="d.qcow2", devices=["a", "b"])
    found = rows(info=INFO, definition=definition, memory_use=64 << 20, now=161.0, own=11)
    assert found["Machine"]["Running for"] == "1 min"
    assert found["Machine"]["Warning"] == "disk error"
    assert found["Screens"]["Screen 0"] == (
        "800 \N{MULTIPLICATION SIGN} 600, source vram, looked at 2 times a second"
    )
    clients = found["Programs that look or control"]
    assert clients == {"Controls": "kju (process 9)", "Looks": "a program (process 10)"}
    assert found["Memory"] == {"Guest": "512 MiB", "In use here": "64 MiB"}
    assert found["Disks"] == {"ide": "/d.qcow2", "backing": "/b"}
    assert found["Emulator"]["Own arguments"] == "-m 512"
    assert found["Added arguments and reasons"]["-name web"] == "the machine's name"
    assert found["Definition"] == {"image": "d.qcow2", "devices": "a, b"}


def test_a_machine_that_is_off_has_its_definition_only() -> None:
    assert list(rows(definition=Definition(memory="1G"))) == ["Machine", "Definition"]


def test_an_info_of_another_version_breaks_nothing() -> None:
    strange: dict[str, Any] = {
        "kind": "qemu", "qemu": 5, "consoles": "none", "clients": [3], "disks": None,
        "accelerator": [], "host": "x",
    }  # fmt: skip
    assert "Machine" in rows(info=strange)


def test_memory_is_read_from_the_arguments() -> None:
    assert guest_memory(["-m", "size=2G,slots=3"]) == "2G"
    assert guest_memory(["-m", "256"]) == "256 MiB"
    assert guest_memory(["-smp", "2"]) == ""


def test_a_rate_of_nothing_says_that_nobody_looks() -> None:
    assert rate_text(0) == "nobody looks"
    assert rate_text(None) == ""
