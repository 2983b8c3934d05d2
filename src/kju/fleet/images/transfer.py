"""SHELL: pieces of images and of bases from their node to others, over Ray's object store.

The keeper of the image's node puts each piece into the store. Nodes that copy the image at the same
time get one object, from any node that has it already.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import ray

from ...errors import KjuError, UnavailableError
from ..bases.source import BaseManifest, FleetBase
from .files import read_piece
from .source import PIECE, FleetImage, is_empty

T = TypeVar("T")
#: Pieces of one copy that are on their way at the same time.
_AHEAD = 3
#: Pieces that stay in the store for other nodes.
_SHARED = 8
#: Seconds for the description of a base, whose keeper reads all of it first.
_MANIFEST_TIMEOUT = 600.0
#: Seconds for one piece, and for all attempts to get it: its keeper may be started again. Other
#: copies wait for a node that hangs.
_TIMEOUT, _PATIENCE = 60.0, 120.0
#: Seconds between two attempts.
_PAUSE = 2.0


class SharedPieces:
    """The pieces that a keeper has put into Ray's object store."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shared: OrderedDict[tuple[str, int], Any] = OrderedDict()

    def get(self, image: FleetImage, number: int) -> Any:  # noqa: ANN401  Ray's reference
        """Return the reference to one piece.

        Raises:
            UsageError: The image has changed, or is missing.
        """
        key = image.key, number
        # One at a time: nodes that ask for the same piece get the same object.
        with self._lock:
            if key not in self._shared:
                piece = read_piece(image, number)
                # Most of a guest's memory is zero, and much of a raw disk.
                self._shared[key] = ray.put(b"" if is_empty(piece) else piece)
                while len(self._shared) > _SHARED:
                    self._shared.popitem(last=False)
            return self._shared[key]


class RemoteFiles:
    """The images and the bases of other nodes.

    Args:
        find: Returns the keeper of a node, as an actor of Ray.
    """

    def __init__(self, find: Callable[[str], Any]) -> None:
        self._find = find

    def pieces(self, image: FleetImage) -> Iterator[bytes]:
        """Yield the contents of an image in order.

        Raises:
            UsageError: The image has changed, or is missing.
            UnavailableError: Its node does not send it.
        """
        asked = deque[Any]()
        left = iter(range(image.pieces))
        for number in range(image.pieces):
            asked.extend(
                self._ask(image, later) for later in itertools.islice(left, _AHEAD - len(asked))
            )
            yield self._receive(image, number, asked.popleft())

    def manifest(self, base: FleetBase) -> BaseManifest:
        """Return the manifest of a base of another node.

        Raises:
            ForkError: It does not exist any more.
            UsageError: One of its files was changed.
            UnavailableError: Its node does not answer.
        """

        def ask() -> Any:  # noqa: ANN401  Ray's reference
            return self._call(base.node, "manifest", base.id)

        what = f"the base {base.tag} of {base.machine}"
        # Its keeper reads all of it once.
        found: BaseManifest = _received(
            ask(), ask, lambda asked: ray.get(asked, timeout=_MANIFEST_TIMEOUT),
            f"the node {base.node} does not send {what}", _MANIFEST_TIMEOUT,
        )  # fmt: skip
        return found

    def _ask(self, image: FleetImage, number: int) -> Any:  # noqa: ANN401  Ray's reference
        return self._call(image.node, "piece", image, number)

    def _call(self, node: str, method: str, *arguments: object) -> Any:  # noqa: ANN401  see above
        try:
            return getattr(self._find(node), method).remote(*arguments)
        except (ValueError, ray.exceptions.RayError) as error:  # there is no such actor now
            return error

    def _receive(self, image: FleetImage, number: int, asked: Any) -> bytes:  # noqa: ANN401  see above
        def piece(asked: Any) -> bytes:  # noqa: ANN401  see above
            (shared,) = ray.get(asked, timeout=_TIMEOUT)
            data: bytes = ray.get(shared, timeout=_TIMEOUT)
            return data or bytes(min(PIECE, image.size - number * PIECE))

        return _received(
            asked, lambda: self._ask(image, number), piece,
            f"the node {image.node} does not send the image {image.path}", _PATIENCE,
        )  # fmt: skip


def _received(
    asked: Any,  # noqa: ANN401  Ray's reference
    again: Callable[[], Any],
    receive: Callable[[Any], T],
    fault: str,
    patience: float,
) -> T:
    """Return the answer to a call of a keeper, which is called again if it does not answer.

    Args:
        asked: The first call, or why it could not be made.
        again: Calls the keeper again.
        receive: Waits for the answer of a call.
        fault: The message for a keeper that does not answer.
        patience: Seconds from the first call, after which no other one is made.
    """
    deadline = time.monotonic() + patience
    while True:
        error: Exception
        try:
            if isinstance(asked, Exception):
                raise asked
            return receive(asked)
        except ray.exceptions.RayTaskError as failed:
            if isinstance(failed.cause, KjuError):
                raise failed.cause from None
            error = failed
        except (ValueError, ray.exceptions.RayError) as failed:
            error = failed
        if time.monotonic() >= deadline:
            raise UnavailableError(f"{fault}: {error}") from error
        time.sleep(_PAUSE)
        asked = again()
