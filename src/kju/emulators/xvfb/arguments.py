"""The arguments that kju appends to a user's Xvfb arguments, and their reasons. I/O-free.

The user's arguments stand first, unchanged; a contradiction is refused before anything starts. A
shared screen, a depth of 24 bits and a display number are appended unless the user chose others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from ...errors import ConflictError
from ..base import Appended, CommandPlan

#: The default screen.
SCREEN = "1280x800x24"

#: Options, and why they cannot be combined with kju.
CONFLICTS = {
    "-displayfd": "kju learns the display's number through it. See: kju info NAME",
    "-help": "Xvfb would print its help and end. Run Xvfb itself for that",
    "-version": "Xvfb would print its version and end. Run Xvfb itself for that",
}
#: Options for the end of the last client.
_AFTER_LAST = ("-noreset", "-reset", "-terminate")


def plan(user: Sequence[str], displayfd: int, folder: str) -> CommandPlan:
    """Decide which arguments to append.

    Args:
        user: The user's arguments.
        displayfd: The descriptor through which the server sends its display number.
        folder: The machine's, for the shared file of the screen.

    Raises:
        ConflictError: The user's arguments contradict what kju needs.
    """
    for word in user:
        if why := CONFLICTS.get(word):
            raise ConflictError(f"{word} cannot be used with kju, because {why}")
    if "-fbdir" in user and "-shmem" in user:
        raise ConflictError("-fbdir and -shmem: a screen is in one of the two; give one of them")
    notes = tuple(_screens(user))
    return CommandPlan(tuple(user), tuple(_appended(user, displayfd, folder)), notes)


def _screens(user: Sequence[str]) -> Iterator[str]:
    """Yield notes on screens other than the first, which is the one shown."""
    for at in (i for i, word in enumerate(user) if word == "-screen"):
        number, size = (*user[at + 1 : at + 3], "", "")[:2]
        depth = size.partition("+")[0].split("x")
        if number != "0":
            yield f"screen {number} is not shown: kju shows screen 0 of an X server"
        elif len(depth) == 3 and depth[2].isdecimal() and int(depth[2]) != 24:
            wanted = "x".join((*depth[:2], "24"))
            raise ConflictError(
                f"-screen 0 {size}: kju shows X screens of 24 bits: use -screen 0 {wanted}"
            )


def _appended(user: Sequence[str], displayfd: int, folder: str) -> Iterator[Appended]:
    if not any(pair == ("-screen", "0") for pair in itertools.pairwise(user)):
        yield Appended(("-screen", "0", SCREEN), "no size was given for screen 0")
    if not {"-fbdir", "-shmem"} & set(user):
        yield Appended(("-fbdir", folder), "the screen is a file that kju and Xvfb both map")
    if not any(word in user for word in _AFTER_LAST):
        yield Appended(("-noreset",), "the screen stays as it is when its last program ends")
    yield Appended(("-displayfd", str(displayfd)), "the display number, once clients can connect")
