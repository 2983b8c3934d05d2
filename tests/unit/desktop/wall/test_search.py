"""Search, filters and orders of the wall."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.desktop.wall.search import MAX_WORDS, Filter, Order, Query, parse, shown

S = MachineState


def machine(
    name: str, state: MachineState = S.RUNNING, host: str = "", **facts: Any
) -> MachineEntry:
    return MachineEntry(MachineKey(host, name), state, **facts)


WALL = [
    machine("web-10", S.PAUSED, labels=("Shop", "front end"), started=10.0),
    machine("web-2", S.RUNNING, started=20.0, warnings=("read error",)),
    machine("build", S.OFF, defined=True),
    machine("remote", S.UNREACHABLE, host="lab:7447"),
    machine("old", S.ENDED, reason="stopped"),
    machine("crashed", S.ENDED, defined=True),
]


def found(text: str, chosen: Filter = Filter.ALL, order: Order = Order.NAME) -> list[str]:
    texts = {"build": "Welcome\n  to GRUB"}
    entries = shown(WALL, parse(text), chosen, order, lambda key: texts.get(key.name, ""))
    return [entry.name for entry in entries]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("WEB", ["web-2", "web-10"]),
        ("web paus", ["web-10"]),
        ("label:shop", ["web-10"]),
        ('label:"front end"', ["web-10"]),
        ("state:off", ["build"]),
        ("name:off", []),
        ("host:lab", ["remote"]),
        ("lab:", ["remote"]),
        ("host:this web-2", ["web-2"]),
        ('text:"welcome to grub"', ["build"]),
        ("text:nothing", []),
        ("grub", []),
        ('text:"welcome', ["build"]),
    ],
)
def test_query_finds_machines_with_all_words(query: str, names: list[str]):
    assert found(query) == names


def test_only_text_reads_screens():
    assert parse("text:login").reads_screens
    assert not parse("login text").reads_screens


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (Filter.RUNNING, ["remote", "web-2", "web-10"]),
        (Filter.STOPPED, ["build", "crashed", "old"]),
        (Filter.PROBLEMS, ["crashed", "remote", "web-2"]),
        (Filter.REMOTE, ["remote"]),
    ],
)
def test_filter_keeps_its_machines(chosen: Filter, names: list[str]):
    assert found("", chosen) == names


def test_orders():
    assert found("web") == ["web-2", "web-10"]  # numbers count as numbers
    assert found("", order=Order.STATE)[:2] == ["web-2", "web-10"]
    assert found("", order=Order.STARTED)[:2] == ["web-2", "web-10"]


@given(st.text(max_size=300))
def test_any_text_is_a_query_that_every_order_takes(text: str):
    query = parse(text)
    assert len(query.terms) <= MAX_WORDS
    for order in Order:
        shown(WALL, query, Filter.ALL, order)


@given(st.lists(st.text(max_size=20), max_size=20))
def test_any_names_have_an_order(names: list[str]):
    entries = [machine(name) for name in names]
    for order in Order:
        found = [each.key.name for each in shown(entries, Query(), Filter.ALL, order)]
        assert sorted(found) == sorted(names)
        again = shown(entries[::-1], Query(), Filter.ALL, order)
        assert [each.key.name for each in again] == found, "whatever the order was before"
