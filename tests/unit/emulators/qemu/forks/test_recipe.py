"""The recipe of a base: written, read again, and given other disks."""

from __future__ import annotations

import json

import pytest

from kju.emulators.qemu.arguments.board import PC
from kju.emulators.qemu.arguments.user_options import Firmware, ForkMemory
from kju.emulators.qemu.forks.recipe import (
    Recipe,
    decoded,
    encoded,
    with_disks,
    with_media,
    writable_disks,
)
from kju.emulators.qemu.launch import PreparedQemu
from kju.emulators.qemu.program import Accelerator, Qemu
from kju.errors import ForkError
from kju.protocol.launch_options import Launch
from kju.store.disk_files import Chain, Layer
from kju.store.image import Image, Kind

PREPARED = PreparedQemu(
    Launch(machine="web", image="/d/web.img", arguments=["-M", "q35"], memory="2G"),
    Qemu("/usr/bin/qemu-system-x86_64", (10, 0, 2), "QEMU 10.0.2", "x86_64", ("dbus",)),
    Image("/d/web.img", Kind.DISK, "", "the suffix", backing_formats=((1, "raw"),)),
    (
        Image("/d/cd.iso", Kind.CDROM, "raw", "an ISO", read_only=True),
        Image("/d/data.qcow2", Kind.DISK, "qcow2", "the suffix"),
    ),
    Firmware("/code.fd", "raw", "/d/vars.qcow2", "asked for"),
    PC._replace(name="pc-q35-10.0"),
    (
        Chain(
            (Layer("/d/web.img", "raw", "disk"), Layer("/d/old.img", "raw", "backing")),
            ((1, "raw"),),
        ),
        Chain((Layer("/d/cd.iso", "raw", "disk"),)),
        Chain((Layer("/d/data.qcow2", "qcow2", "disk"),)),
    ),
)
RECIPE = Recipe(
    PREPARED, Accelerator("tcg", "no KVM"), ForkMemory("pc.ram", 1 << 31, 1 << 20), True
)


def test_recipe_survives_json() -> None:
    assert decoded(json.loads(json.dumps(encoded(RECIPE)))) == RECIPE


def test_recipe_of_another_version_is_refused() -> None:
    broken = {**encoded(RECIPE), "memory": ["pc.ram"]}
    for recipe in ({}, broken):
        with pytest.raises(ForkError, match="freeze the machine again"):
            decoded(recipe)


def test_writable_disks_are_the_image_the_disks_and_the_variables() -> None:
    assert writable_disks(PREPARED) == [
        ("/d/web.img", ""),
        ("/d/data.qcow2", "qcow2"),
        ("/d/vars.qcow2", "qcow2"),
    ]


def test_fork_has_overlays_in_the_place_of_these_and_the_same_cd() -> None:
    disks = ("/d/web.img", "/d/data.qcow2", "/d/vars.qcow2")
    layers = [
        (Layer(f"/f/{number}.qcow2", "qcow2", "disk"), Layer(path, "", "backing"))
        for number, path in enumerate(disks)
    ]
    forked = with_disks(PREPARED, layers)
    assert forked.image is not None
    assert (forked.image.path, forked.image.disk_format) == ("/f/0.qcow2", "qcow2")
    assert forked.image.backing_formats == ((2, "raw"),)
    assert [disk.path for disk in forked.disks] == ["/d/cd.iso", "/f/1.qcow2"]
    assert forked.firmware is not None
    assert (forked.firmware.code, forked.firmware.variables) == ("/code.fd", "/f/2.qcow2")
    assert forked.request == PREPARED.request
    assert [[layer.path for layer in chain.layers] for chain in forked.chains] == [
        ["/f/0.qcow2", "/d/web.img", "/d/old.img"],
        ["/d/cd.iso"],
        ["/f/1.qcow2", "/d/data.qcow2"],
    ]
    assert forked.chains[0].formats == ((2, "raw"),)


def test_machine_with_a_copy_has_it_in_the_place_of_the_disk() -> None:
    layers = [(Layer(f"/f/{number}.qcow2", "qcow2", "disk"),) for number in range(3)]
    copied = with_disks(PREPARED, layers)
    assert copied.image is not None
    assert (copied.image.path, copied.image.backing_formats) == ("/f/0.qcow2", ((1, "raw"),))
    assert [layer.path for layer in copied.chains[0].layers] == ["/f/0.qcow2", "/d/old.img"]


def test_fork_has_the_cd_that_is_in_the_drive_now() -> None:
    assert with_media(PREPARED, {"kju-cd-1": "/d/cd.iso"}) == PREPARED
    changed = with_media(PREPARED, {"kju-cd-1": "/d/other.iso", "kju-disk": "/no"})
    assert [disk.path for disk in changed.disks] == ["/d/other.iso", "/d/data.qcow2"]
    assert with_media(PREPARED, {"kju-cd-1": ""}).disks[0].path == ""
