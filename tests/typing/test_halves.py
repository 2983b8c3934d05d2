"""`kju` and `kju.aio` have the same names and parameters; `kju` exports the types it returns."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import kju
import kju.aio

CLASSES = [
    "Expectation",
    "ForkBase",
    "Keyboard",
    "Locator",
    "Machine",
    "Pointer",
    "Screen",
    "Snapshots",
    "Surface",
]
FUNCTIONS = [
    "attach",
    "clone",
    "define",
    "definition",
    "expect",
    "launch",
    "machines",
    "mirror",
    "open_base",
    "plan_launch",
    "plan_start",
    "remove",
    "start",
]
#: Public names of one half only, with the reason.
ONLY_SYNC = {
    ("Surface", "wait_news"): "viewers look at a screen on a thread of their own",
    ("Screen", "wait_news"): "the same",
}
#: Results that differ by more than being awaited.
RESULTS = {
    ("Machine", "serial"): (
        "socket.socket",
        "tuple[asyncio.StreamReader, asyncio.StreamWriter]",
    ),
    ("Keyboard", "hold"): ("Iterator[None]", "AsyncIterator[None]"),
}


def names(kind: type) -> set[str]:
    """Return the public attributes of a class."""
    return {name for name in dir(kind) if not name.startswith("_")}


def differences(sync: Callable[..., Any], other: Callable[..., Any], key: Any) -> list[str]:
    """Compare parameters (names, kinds, defaults, types) and results of two callables."""
    ours, theirs = inspect.signature(sync), inspect.signature(other)
    found = [
        f"{key}: {one} / {two}"
        for one, two in zip(ours.parameters.values(), theirs.parameters.values(), strict=False)
        if one != two
    ]
    if len(ours.parameters) != len(theirs.parameters):
        found.append(f"{key}: {ours} / {theirs}")
    results = ours.return_annotation, theirs.return_annotation
    plain = re.sub(r"\bAsync(Iterator)\b", r"\1", str(results[1]))
    same = results == RESULTS[key] if key in RESULTS else str(results[0]) == plain
    return found if same else [*found, f"{key}: {results[0]} / {results[1]}"]


@pytest.mark.parametrize("name", CLASSES)
def test_class_has_the_same_methods_in_both_halves(name: str) -> None:
    sync, other = getattr(kju, name), getattr(kju.aio, name)
    only_sync = {method for kind, method in ONLY_SYNC if kind == name}
    assert names(sync) - only_sync == names(other)
    found = []
    for method in names(other):
        one, two = (inspect.getattr_static(kind, method) for kind in (sync, other))
        assert isinstance(one, property) == isinstance(two, property), method
        if inspect.isfunction(one) and inspect.isfunction(two):
            found += differences(one, two, (name, method))
    assert not found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_the_same_parameters_in_both_halves(name: str) -> None:
    assert not differences(getattr(kju, name), getattr(kju.aio, name), name)


def test_every_function_is_in_both_halves() -> None:
    functions = {name for name in kju.__all__ if inspect.isfunction(getattr(kju, name))}
    assert functions - {"get_include"} == set(FUNCTIONS)
    assert set(kju.aio.__all__) == {*CLASSES, *FUNCTIONS}


def test_missing_parameter_is_found() -> None:
    def sync(a: int, *, timeout: float | None = None) -> int:
        return a

    async def other(a: int) -> int:
        return a

    assert differences(sync, other, "x")


def returned(function: Callable[..., Any]) -> set[str]:
    """Return the class names in the annotation of a callable's result."""
    text = str(inspect.signature(function).return_annotation)
    return set(re.findall(r"\b[A-Z]\w+", text))


#: Names of other modules, and type variables.
FOREIGN = {"Any", "Path", "Self", "T", "MachineT", "Iterator", "Sequence", "None", "True", "False"}
VISION = {"Match", "Text", "TextMatch"}


def test_every_returned_type_can_be_imported_from_kju() -> None:
    found = set()
    for name in kju.__all__:
        value = getattr(kju, name)
        if inspect.isfunction(value):
            found |= returned(value)
        elif inspect.isclass(value) and value.__module__.startswith("kju.client"):
            for method in names(value):
                member = inspect.getattr_static(value, method)
                function = member.fget if isinstance(member, property) else member
                if inspect.isfunction(function):
                    found |= returned(function)
    assert len(found) > 20
    assert found - FOREIGN <= set(kju.__all__)


@pytest.mark.parametrize("name", kju.__all__)
def test_every_exported_name_exists(name: str) -> None:
    assert getattr(kju, name) is not None
