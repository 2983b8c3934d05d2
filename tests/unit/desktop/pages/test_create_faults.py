"""The field that an error of QEMU is about."""

from __future__ import annotations

import pytest

from kju.desktop.pages.create_faults import field_of

VALUES: dict[str, str | bool] = {
    "image": "/vm/disk (1).qcow2",
    "disks": "/vm/data.raw\n/vm/more.iso\n",
    "firmware": "bios",
    "memory": "1G",
    "devices": "virtio-rng-pci,max-bytes=x\ne1000\n",
    "arguments": "-boot menu=on -device 'usb-mouse' -nic user,hostfwd=tcp::22-:22",
    "trust_disk": False,
}


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("-device virtio-rng-pci,max-bytes=x: Parameter 'max-bytes' expects a number", "devices"),
        ("-device usb-mouse: No 'usb-bus' bus found for device 'usb-mouse'", "arguments"),
        ("-boot menu=on: invalid option", "arguments"),
        ("-nic user,hostfwd=tcp::22-:22: Could not set up host forwarding rule", "arguments"),
        ("hostfwd: the tcp port 22 cannot be opened", "arguments"),
        ('-drive if=ide,file.filename=/vm/disk (1).qcow2: Failed to get "write" lock', "image"),
        ("Could not open '/vm/data.raw': Permission denied", "disks"),
        ("cannot set up guest memory 'pc.ram': Cannot allocate memory", "memory"),
        ("-m 2T: ram size too large", "memory"),
        ("Invalid SMP CPUs 300. The max CPUs supported by machine 'pc' is 255", "cpus"),
        ("-device ide-hd,drive=kju-disk: Bus 'ide.0' not found", "disk_bus"),
        ("could not load PC BIOS 'bios'", "firmware"),
        ("KVM is not available", ""),
        ("", ""),
    ],
)
def test_error_is_shown_beside_its_field(message: str, field: str) -> None:
    assert field_of(message, VALUES) == field


def test_arguments_that_are_no_words_of_a_shell_are_no_hindrance() -> None:
    assert field_of("-smp 900: too many", {"arguments": "'"}) == "cpus"
