"""The options of a machine: everything that is derived from their one definition agrees."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import kju
import pytest_kju
from kju import aio
from kju.cli.app import ENTRIES, load
from kju.client.requests import launch_request
from kju.errors import UsageError
from kju.protocol.launch_options import (
    DefineOptions,
    GuestOptions,
    Launch,
    LaunchOptions,
    PathLike,
    checked,
    declared,
    fields_of,
    launch_message,
)
from kju.store.machine_toml import Definition


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (kju.launch, LaunchOptions),
        (aio.launch, LaunchOptions),
        (kju.define, DefineOptions),
    ],
    ids=["launch", "aio.launch", "define"],
)
def test_a_function_has_every_option_with_its_default(function: Any, kind: type) -> None:
    parameters = inspect.signature(function).parameters
    for name, one in declared(kind).items():
        assert parameters[name].default == one.option.default
        assert parameters[name].annotation == one.type
    keywords = {p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert keywords == declared(kind).keys()


@pytest.mark.parametrize("function", [kju.launch, kju.define])
def test_the_documentation_describes_every_option(function: Any) -> None:
    text = inspect.getdoc(function) or ""
    for name, one in declared(get_type_hints(function)["options"].__args__[0]).items():
        assert f"{name}: {one.option.help}" in text


@pytest.mark.parametrize(("command", "kind"), [("run", LaunchOptions), ("create", DefineOptions)])
def test_a_command_has_every_option(command: str, kind: type) -> None:
    parameters = {p.name: p for p in load(ENTRIES[command]).params}
    for name, one in declared(kind).items():
        if name == "args":  # they follow --
            continue
        assert f"--{name.replace('_', '-')}" in parameters[name].opts
        if name != "xvfb":  # two options of the command
            assert parameters[name].help == one.option.help


def test_the_pytest_marker_takes_every_option_but_detach() -> None:
    expected = {*declared(LaunchOptions), "image"} - {"detach"}
    assert pytest_kju._launch_options() == expected


def test_every_guest_option_is_a_field_of_a_launch_and_of_a_definition() -> None:
    given = dict.fromkeys(declared(GuestOptions), "x")
    for kind in (Launch, Definition):
        assert len(fields_of(kind, given)) == len(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"disk_bus": "pci"}, "unknown disk bus 'pci'; choose one of: ide, scsi"),
        ({"memory": "2X"}, "invalid memory size '2X'; write a number and a unit, such as 2G"),
        ({"memory": 64}, "invalid memory size 64; write"),
        ({"cpus": 0}, "cpus is a number from 1 to 1024, not 0"),
        ({"log_level": "loud"}, "unknown log level 'loud'; choose one of: debug"),
        ({"args": "-m 2G"}, "args is a list of arguments, not one text"),
    ],
)
def test_a_wrong_value_is_rejected(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        checked(LaunchOptions, given)


def test_an_unknown_option_is_rejected_as_by_any_function() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        kju.launch(colour="red")  # type: ignore[call-arg]


def test_a_path_becomes_a_text_in_every_option_that_takes_one() -> None:
    for kind in (LaunchOptions, DefineOptions):
        for name, one in declared(kind).items():
            if PathLike in get_args(one.type):
                assert checked(kind, {name: Path("/a/b")}) == {name: "/a/b"}
            elif name != "args":
                with pytest.raises((UsageError, TypeError)):
                    checked(kind, {name: Path("/a/b")})


def test_a_launch_takes_paths(tmp_path: Path) -> None:
    options: LaunchOptions = {"qemu": tmp_path / "qemu", "surface": tmp_path / "screen"}
    launch = launch_request(tmp_path / "disk.qcow2", options)
    assert (launch.qemu, launch.surface) == (str(tmp_path / "qemu"), str(tmp_path / "screen"))
    assert launch.image == str(tmp_path / "disk.qcow2")
    shown = launch_request(None, {"xvfb": tmp_path})
    assert (shown.emulator, shown.running) == ("xvfb", str(tmp_path))
    assert launch_request(None, {"xvfb": None}).emulator == "qemu"  # type: ignore[typeddict-item]


def test_options_without_a_value_are_left_to_the_host() -> None:
    assert launch_message("", "test", {"memory": None, "qemu": "", "name": None}) == Launch(
        client="test"
    )


def test_xvfb_chooses_the_emulator() -> None:
    assert launch_message("", "", {"xvfb": True}).emulator == "xvfb"
    shown = launch_message("", "", {"xvfb": ":5"})
    assert (shown.emulator, shown.running) == ("xvfb", ":5")
