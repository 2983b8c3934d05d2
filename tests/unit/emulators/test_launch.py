"""The table of emulator kinds, and the launch of an emulator by it."""

from __future__ import annotations

from importlib import import_module
from inspect import signature

import msgspec
import pytest

from kju.emulators import launch
from kju.emulators.base import Emulator
from kju.errors import ConflictError, PeerError, UsageError
from kju.protocol.framing import HostSide, pack
from kju.protocol.launch_options import Launch, Remote
from kju.protocol.values import KINDS
from kju.store.paths import name_for


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_factory(kind: str) -> None:
    module = import_module(f"kju.emulators.{kind}.emulator")
    assert list(signature(module.FACTORY.prepare).parameters) == ["request", "new_disks"]
    assert list(signature(module.FACTORY.create).parameters) == ["claim", "prepared", "events"]
    emulators = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Emulator) and each is not Emulator
    ]
    assert emulators and all(each.kind == kind for each in emulators)


def test_launch_of_an_unknown_kind_is_rejected() -> None:
    with pytest.raises(PeerError, match="emulator"):
        HostSide(launch=True).receive_data(pack(Launch(emulator="bochs"), 1))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_accepted_in_a_launch(kind: str) -> None:
    (found,) = HostSide(launch=True).receive_data(pack(Launch(emulator=kind), 1))
    assert msgspec.structs.asdict(found.request)["emulator"] == kind


def test_argument_with_a_zero_byte_is_rejected() -> None:
    with pytest.raises(ConflictError, match="zero byte"):
        launch.prepare(Launch(arguments=["a\0b"]))


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ({"image": "/a.img"}, "an image"),
        ({"snapshot": "ready"}, "a snapshot"),
        ({"cpus": 2}, "cpus"),
    ],
)
def test_option_of_a_guest_is_refused_for_xvfb(option: dict[str, object], name: str) -> None:
    with pytest.raises(ConflictError, match=f"Xvfb has no guest, so {name} cannot be given"):
        launch.prepare(Launch(emulator="xvfb", **option))


def test_surface_in_a_missing_folder_is_rejected() -> None:
    with pytest.raises(UsageError, match="the folder /nonexistent does not exist"):
        launch.prepare(Launch(surface="/nonexistent/surface"))


def test_default_name_of_a_mirror_is_that_of_the_remote_machine() -> None:
    request = Launch(
        emulator="mirror",
        running="zenoh:lab/host1/debian",
        remote=Remote(connect=["localhost:7447"], insecure=True),
    )
    assert name_for(launch.prepare(request).default_name) == "debian"
