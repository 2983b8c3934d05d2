"""The messages of a fleet on zenoh, and a watcher's picture of the fleet. I/O-free.

| key | use |
|---|---|
| ``kju/fleet/FLEET/NODE/NAME/GENERATION`` | token of the node: this start of a machine runs |
| ``kju/fleet-controller/FLEET`` | token: the controller is connected |
| ``kju/fleet-state/FLEET/WHAT/PART`` | answers of the controller: ``statuses``, ``changes`` |
| ``kju/fleet-changes/FLEET`` | new changes, from the controller |

The tokens of the nodes remain without a controller, so a watcher shows both: the controller knows
states and reasons, a token is the proof of the node that a machine runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from ...errors import PeerError, UsageError
from ...remote.addresses import check_screen
from ..messages import FleetState, MachineStatus

#: Bytes of a message; zenoh carries 128 KiB.
MAX_MESSAGE = 60_000
#: Characters of a reason.
MAX_REASON = 2000
#: Lines of the logs of one machine, and characters of a line.
MAX_LINES, MAX_LINE = 16, 500
#: The reason of a machine that only its node had shown.
NOT_SHOWN = "its node does not show it any more, and the fleet's controller does not answer"
#: The reason of a machine of which nothing is known at the moment.
NOT_CONFIRMED = "neither its node nor the fleet's controller has confirmed it lately"
_MAX_GENERATION = 1 << 53
_CONTROLLERS = "kju/fleet-controller/"

What = Literal["statuses", "changes"]


class RunningStart(NamedTuple):
    """A start of a machine that runs, as its node shows it.

    Attributes:
        node: The node.
        name: The machine's name.
        generation: The number of the start.
    """

    node: str
    name: str
    generation: int


def start_key(fleet: str, start: RunningStart) -> str:
    """Return the key of a start's token."""
    return f"kju/fleet/{fleet}/{start.node}/{start.name}/{start.generation}"


def starts_key(fleet: str) -> str:
    """Return the key of the tokens of all starts."""
    return f"kju/fleet/{fleet}/**"


def start_of(key: str, fleet: str) -> RunningStart | None:
    """Return the start in the key of its token; None for other keys."""
    parts = key.removeprefix(f"kju/fleet/{fleet}/").split("/")
    if len(parts) != 3 or not (parts[2].isascii() and parts[2].isdecimal()):
        return None
    try:
        check_screen("/".join(parts[:2]))
        generation = int(parts[2])
    except (UsageError, ValueError):
        return None
    return RunningStart(parts[0], parts[1], generation) if generation < _MAX_GENERATION else None


def controller_key(fleet: str) -> str:
    """Return the key of the controller's token."""
    return f"{_CONTROLLERS}{fleet}"


def fleet_of(controller: str) -> str:
    """Return the fleet of the key of a controller's token."""
    return controller.removeprefix(_CONTROLLERS)


def state_key(fleet: str, what: What | Literal["*"], part: int | Literal["*"] = "*") -> str:
    """Return the key of a question to the controller, or of one part of its answer."""
    return f"kju/fleet-state/{fleet}/{what}/{part}"


def what_of(key: str) -> What | None:
    """Return the subject of a question; None for other keys."""
    parts = key.split("/")
    if len(parts) != 5:
        return None
    return "statuses" if parts[3] == "statuses" else "changes" if parts[3] == "changes" else None


def changes_key(fleet: str) -> str:
    """Return the key of new changes."""
    return f"kju/fleet-changes/{fleet}"


class News(Struct, frozen=True, array_like=True):
    """Statuses from the controller: all, or the changes up to a number.

    Attributes:
        process: The process of the controller; a later one has a larger number.
        count: The number of the newest change that the whole message has.
        statuses: The statuses; of changes the oldest first.
        part: The number of this part, from 0.
        parts: The number of parts.
    """

    process: int
    count: int
    statuses: tuple[MachineStatus, ...]
    part: int = 0
    parts: int = 1


class Envelope(Struct, frozen=True, array_like=True):
    """A message of the controller.

    Attributes:
        body: The `News`, encoded.
        proof: A host's signature over the key, the question and the body; empty without
            certificates.
    """

    body: bytes
    proof: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_news = msgspec.msgpack.Decoder(News)
_envelope = msgspec.msgpack.Decoder(Envelope)


def encode_news(process: int, count: int, statuses: Sequence[MachineStatus]) -> list[bytes]:
    """Return the bodies of a message with these statuses, each in the size of a message."""
    groups: list[list[MachineStatus]] = [[]]
    size = 0
    for status in map(_bounded, statuses):
        more = len(_encode(status))
        if size + more > MAX_MESSAGE and groups[-1]:
            groups.append([])
            size = 0
        groups[-1].append(status)
        size += more
    return [
        _encode(News(process, count, tuple(group), part, len(groups)))
        for part, group in enumerate(groups)
    ]


def _bounded(status: MachineStatus) -> MachineStatus:
    log = tuple(line[:MAX_LINE] for line in status.log[-MAX_LINES:])
    return msgspec.structs.replace(status, reason=status.reason[-MAX_REASON:], log=log)


def encode_envelope(envelope: Envelope) -> bytes:
    """Return an envelope as bytes."""
    return _encode(envelope)


def decode_envelope(data: bytes) -> Envelope:
    """Decode an envelope.

    Raises:
        PeerError: It is not valid.
    """
    try:
        return _envelope.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(f"not a message of a fleet: {error}"[:300]) from error


def decode_news(body: bytes) -> News:
    """Decode the body of an envelope.

    Raises:
        PeerError: It is not valid.
    """
    try:
        return _news.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(f"not news of a fleet: {error}"[:300]) from error


def joined_news(parts: Iterable[News]) -> News | None:
    """Return a whole message from its parts; None if one is missing."""
    found = {each.part: each for each in parts}
    if not found:
        return None
    newest = max((each.process, each.count) for each in found.values())
    same = [each for _, each in sorted(found.items()) if (each.process, each.count) == newest]
    if [each.part for each in same] != list(range(same[0].parts)):
        return None
    return News(*newest, tuple(status for each in same for status in each.statuses))


#: Machines that a watcher knows: more than a controller keeps.
MAX_KNOWN = 30_000


class FleetPicture:
    """The states of a fleet's machines, from its nodes' tokens and its controller's news.

    Attributes:
        has_controller: The controller is connected, and has sent its statuses.
    """

    def __init__(self) -> None:
        self.has_controller = False
        self._known: dict[str, MachineStatus] = {}
        self._mark = (0, 0)
        self._tokens: set[RunningStart] = set()
        self._seen: set[RunningStart] = set()

    @property
    def mark(self) -> tuple[int, int]:
        """The controller's process, and its newest change that is known."""
        return self._mark

    def statuses(self) -> list[MachineStatus]:
        """Return the states of all machines, by name."""
        found = dict(self._known)
        for start in sorted(self._tokens):
            known = found.get(start.name)
            if known is None or known.generation < start.generation:
                found[start.name] = _running(start)
        if not self.has_controller:
            found = {name: self._without_controller(status) for name, status in found.items()}
        return [found[name] for name in sorted(found)]

    def _without_controller(self, status: MachineStatus) -> MachineStatus:
        start = RunningStart(status.node, status.name, status.generation)
        if start in self._tokens:
            return _running(start)
        if status.state.is_over:
            return status
        return msgspec.structs.replace(status, reason=NOT_CONFIRMED)

    # ---- the controller

    def take_answers(
        self, statuses: News, changes: News, *, past: bool = False
    ) -> tuple[list[MachineStatus], int]:
        """Take the answers of a controller, in place of everything that was known of it.

        Args:
            statuses: All statuses.
            changes: All changes that it keeps, of the same moment or a later one.
            past: Return the changes before the first answer, too.

        Returns:
            As `take_changes`.
        """
        process, count = self._mark
        is_first = process == 0
        self.has_controller = True
        self._known = {status.name: status for status in statuses.statuses}
        self._mark = statuses.process, statuses.count
        self.take_changes(changes)
        if is_first:
            return list(changes.statuses) if past else [], 0
        wanted = changes.count - (count if process == changes.process else 0)
        new = list(changes.statuses[-wanted:]) if wanted > 0 else []
        return new, max(0, wanted - len(new))

    def take_changes(self, news: News) -> tuple[list[MachineStatus], int]:
        """Take the newest changes.

        Returns:
            Those that are new, the oldest first, and the number of changes that were missed.
        """
        process, count = self._mark
        if news.process < process:
            return [], 0
        if news.process > process:  # a restarted controller begins anew
            count = 0
        wanted = news.count - count
        if wanted <= 0:
            return [], 0
        self._mark = (news.process, news.count)
        new = list(news.statuses[-wanted:])
        self._known.update((status.name, status) for status in new)
        self._forget()
        return new, wanted - len(new)

    def _forget(self) -> None:
        """Forget the starts whose end both sides have reported: one may watch a fleet for weeks."""
        ended = self._seen - self._tokens
        self._seen -= {start for start in ended if self._is_over(start)}
        if len(self._known) > MAX_KNOWN:
            over = [s for s in self._known.values() if s.state.is_over]
            over.sort(key=lambda status: status.since)
            for status in over[: len(self._known) - MAX_KNOWN * 9 // 10]:
                del self._known[status.name]

    def _is_over(self, start: RunningStart) -> bool:
        """Return whether the controller has reported the end of a start."""
        known = self._known.get(start.name)
        if known is None or known.generation > start.generation:
            return True
        return known.state.is_over

    def lose_controller(self) -> list[MachineStatus]:
        """Note that the controller is not connected any more; return the changes by that."""
        self.has_controller = False
        ended = sorted(self._seen - self._tokens)
        return [status for start in ended for status in self._end(start)]

    def lose_unconfirmed(self) -> list[MachineStatus]:
        """Give up the machines that neither side has confirmed; return the changes by that."""
        if self.has_controller:
            return []
        starts = {RunningStart(s.node, s.name, s.generation) for s in self._known.values()}
        missing = sorted(starts - self._tokens)
        return [status for start in missing for status in self._end(start)]

    # ---- the nodes

    def take_token(self, start: RunningStart) -> list[MachineStatus]:
        """Note the token of a start; return the changes by that."""
        self._tokens.add(start)
        self._seen.add(start)
        known = self._known.get(start.name)
        is_new = known is None or known.generation < start.generation
        if self.has_controller or not is_new:
            return []
        self._known[start.name] = _running(start)
        return [self._known[start.name]]

    def lose_token(self, start: RunningStart) -> list[MachineStatus]:
        """Note that a token does not exist any more; return the changes by that."""
        self._tokens.discard(start)
        if not self.has_controller:
            return list(self._end(start))
        self._forget()
        return []

    def _end(self, start: RunningStart) -> Iterator[MachineStatus]:
        self._seen.discard(start)
        known = self._known.get(start.name)
        if (
            known is not None
            and (known.node, known.generation) == (start.node, start.generation)
            and known.state is FleetState.RUNNING
        ):
            lost = msgspec.structs.replace(known, state=FleetState.LOST, reason=NOT_SHOWN)
            self._known[start.name] = lost
            yield lost

    def forget_connection(self) -> None:
        """Forget the tokens of a connection that has ended; the statuses stay known."""
        self.has_controller = False
        self._tokens.clear()
        self._seen.clear()


def _running(start: RunningStart) -> MachineStatus:
    return MachineStatus(start.name, FleetState.RUNNING, start.generation, start.node)
