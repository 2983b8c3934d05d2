"""What kju adds to a user's Xvfb arguments, and why. I/O-free.

The user's arguments come first, as they are; what contradicts kju is refused before anything
starts. A way to share the screen, a screen of 24 bits and the number of the display are added
only where the user has not chosen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from ...errors import ConflictError
from ..qemu.arguments import Appended, Plan

#: The screen of a server that was asked for none.
SCREEN = "1280x800x24"

#: An option, and why it cannot be combined with kju.
CONFLICTS = {
    "-displayfd": "kju learns the display's number through it; it is in: kju info NAME",
    "-help": "Xvfb would print its help and end; run Xvfb itself for that",
    "-version": "Xvfb would print its version and end; run Xvfb itself for that",
}
#: What happens when the last program has gone.
_AFTER_LAST = ("-noreset", "-reset", "-terminate")


def plan(user: Sequence[str], displayfd: int, folder: str) -> Plan:
    """Decide what to append.

    Args:
        user: The user's arguments.
        displayfd: The descriptor through which the server says its display's number.
        folder: Of the machine, for the file that is shared.

    Raises:
        ConflictError: The user's arguments contradict what kju needs.
    """
    for word in user:
        if why := CONFLICTS.get(word):
            raise ConflictError(f"{word} cannot be used with kju: {why}")
    if "-fbdir" in user and "-shmem" in user:
        raise ConflictError("-fbdir and -shmem: a screen is in one of the two; give one of them")
    notes = tuple(_screens(user))
    return Plan(tuple(user), tuple(_appended(user, displayfd, folder)), notes)


def _screens(user: Sequence[str]) -> Iterator[str]:
    """What to say of the screens; the first is looked at."""
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
        yield Appended(("-fbdir", folder), "the screen is a file that both sides map")
    if not any(word in user for word in _AFTER_LAST):
        yield Appended(("-noreset",), "the screen stays as it is when its last program ends")
    yield Appended(("-displayfd", str(displayfd)), "the display's number, once programs may come")
