"""The messages of a dry run: a host reports the commands of a launch, and starts nothing. I/O-free.

A host process that was started for dry runs answers any number of them, one after the other, until
its client disconnects.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from .launch_options import Launch
from .values import Name, Reply, Request


class DryRun(Request, frozen=True, tag="dry-run"):
    """Report the commands of a launch. Answered by `Planned`.

    It is sent to a host process of its own, in place of `Launch`. Either *launch* or *machine* is
    given.

    Attributes:
        launch: The launch; None for a defined machine.
        machine: The name of a defined machine; or, with a *definition*, of any.
        definition: The text of its definition; None to read the one on the disk.
        new: Whether the machine is still to be defined: then its name must be free.
        disk: The size of a new disk that will be made for it, such as ``20G``; empty for none.
        snapshot: The snapshot that a defined machine begins with; empty for none.
        client: The client's name.
    """

    launch: Launch | None = None
    machine: Name = ""
    definition: Annotated[str, Meta(max_length=1 << 19)] | None = None
    new: bool = False
    disk: Name = ""
    snapshot: Annotated[str, Meta(max_length=64)] = ""
    client: Name = ""


class Planned(Reply, frozen=True, tag="planned"):
    """The answer to `DryRun`.

    Attributes:
        plan: Plain maps, lists, numbers and text, ready for JSON: ``name``, ``kind``, ``command``,
            and the keys of `Info` that describe the emulator.
    """

    plan: dict[str, Any]
