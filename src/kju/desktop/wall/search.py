"""Search, filter and sort the machines of the wall. I/O-free.

A query is a list of words; a machine is found if it has all of them. A word is part of a name,
state, label or host, in any case. A prefix restricts it: ``name:``, ``state:``, ``label:``,
``host:``, or ``text:`` for text on the screen. Quotes keep spaces: ``text:"login failed"``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

from ..machines.entry import MachineEntry, MachineKey, MachineState

_WORD = re.compile(r'(?:(name|state|label|host|text):)?(?:"([^"]*)"?|(\S+))', re.IGNORECASE)
#: Words of a query; a pasted page must not make the wall slow.
MAX_WORDS = 32


class Term(NamedTuple):
    """One word of a query.

    Attributes:
        field: The prefix; empty for any field but the screen's text.
        word: The word, in lower case.
    """

    field: str
    word: str


class Query(NamedTuple):
    """A query.

    Attributes:
        terms: Its words.
    """

    terms: tuple[Term, ...] = ()

    @property
    def reads_screens(self) -> bool:
        """True if it asks for text on the screen, which takes time to read."""
        return any(term.field == "text" for term in self.terms)

    def matches(self, entry: MachineEntry, screen_text: str = "") -> bool:
        """Return whether a machine has all words.

        Args:
            entry: The machine.
            screen_text: The text on its screen, as far as it has been read.
        """
        text = " ".join(screen_text.lower().split())
        return all(_has(entry, term, text) for term in self.terms)


def parse(text: str) -> Query:
    """Return the query in a text; any text is one."""
    terms = []
    for found in _WORD.finditer(text):
        word = (found[2] if found[2] is not None else found[3]).strip().lower()
        if word:
            terms.append(Term((found[1] or "").lower(), " ".join(word.split())))
    return Query(tuple(terms[:MAX_WORDS]))


def _has(entry: MachineEntry, term: Term, screen_text: str) -> bool:
    if term.field == "text":
        return term.word in screen_text
    values = {
        "name": (entry.name,),
        "state": (entry.state.value,),
        "label": entry.labels,
        "host": (entry.key.host or "this computer",),
    }
    chosen = values[term.field] if term.field else sum(values.values(), ())
    return any(term.word in value.lower() for value in chosen)


class Filter(Enum):
    """A filter of the wall; the value is the word that a user reads."""

    ALL = "All"
    RUNNING = "Running"
    STOPPED = "Stopped"
    PROBLEMS = "Problems"
    REMOTE = "Remote"

    def accepts(self, entry: MachineEntry) -> bool:
        """Return whether it shows a machine."""
        return _ACCEPTS[self](entry)


def _has_problem(entry: MachineEntry) -> bool:
    """Return whether a machine needs a look: a fault, a failure, or no answer."""
    silent = entry.state in (MachineState.SILENT, MachineState.UNREACHABLE)
    failed = entry.state is MachineState.ENDED and entry.defined
    return bool(entry.warnings) or silent or failed


_ACCEPTS: dict[Filter, Callable[[MachineEntry], bool]] = {
    Filter.ALL: lambda entry: True,
    Filter.RUNNING: lambda entry: entry.state not in (MachineState.OFF, MachineState.ENDED),
    Filter.STOPPED: lambda entry: entry.state in (MachineState.OFF, MachineState.ENDED),
    Filter.PROBLEMS: _has_problem,
    Filter.REMOTE: lambda entry: not entry.is_local,
}


class Order(Enum):
    """An order of the wall; the value is the word that a user reads."""

    NAME = "Name"
    STATE = "State"
    STARTED = "Newest first"


_RANK = {state: rank for rank, state in enumerate(MachineState)}


def _name_key(entry: MachineEntry) -> tuple[object, ...]:
    # Numbers in a name count as numbers: web-2 stands before web-10.
    parts = re.split(r"(\d{1,15})", entry.name.lower())
    numbered = tuple((int(p), "") if p.isdecimal() else (-1, p) for p in parts)
    return (numbered, entry.name, entry.key.host)


_ORDERS: dict[Order, Callable[[MachineEntry], tuple[object, ...]]] = {
    Order.NAME: _name_key,
    Order.STATE: lambda entry: (_RANK[entry.state], *_name_key(entry)),
    Order.STARTED: lambda entry: (-(entry.started or 0.0), *_name_key(entry)),
}


def shown(
    entries: Iterable[MachineEntry],
    query: Query,
    chosen: Filter,
    order: Order,
    screen_text: Callable[[MachineKey], str] = lambda key: "",
) -> list[MachineEntry]:
    """Return the machines that the wall shows, in order."""
    found = [
        entry
        for entry in entries
        if chosen.accepts(entry)
        and query.matches(entry, screen_text(entry.key) if query.reads_screens else "")
    ]
    return sorted(found, key=_ORDERS[order])
