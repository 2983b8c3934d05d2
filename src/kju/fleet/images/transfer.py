"""SHELL: pieces of images from the node of their program to others, over Ray's object store.

The keeper of the image's node puts each piece into the store. Nodes that copy the image at the same
time get one object, from any node that has it already.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

import ray

from ...errors import KjuError, UnavailableError
from .files import read_piece
from .source import FleetImage

#: Pieces of one copy that are on their way at the same time.
_AHEAD = 3
#: Pieces that stay in the store for other nodes.
_SHARED = 8
#: Seconds for one piece; and attempts to get it, as its keeper may be started again.
_TIMEOUT, _ATTEMPTS = 60.0, 10
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
                self._shared[key] = ray.put(read_piece(image, number))
                while len(self._shared) > _SHARED:
                    self._shared.popitem(last=False)
            return self._shared[key]


class RemotePieces:
    """The contents of images of other nodes.

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

    def _ask(self, image: FleetImage, number: int) -> Any:  # noqa: ANN401  Ray's reference
        try:
            return self._find(image.node).piece.remote(image, number)
        except (ValueError, ray.exceptions.RayError) as error:  # there is no such actor now
            return error

    def _receive(self, image: FleetImage, number: int, asked: Any) -> bytes:  # noqa: ANN401  see above
        error: Exception | None = None
        for _ in range(_ATTEMPTS):
            try:
                if isinstance(asked, Exception):
                    raise asked
                (shared,) = ray.get(asked, timeout=_TIMEOUT)
                data: bytes = ray.get(shared, timeout=_TIMEOUT)
            except ray.exceptions.RayTaskError as failed:
                if isinstance(failed.cause, KjuError):
                    raise failed.cause from None
                error = failed
            except (ValueError, ray.exceptions.RayError) as failed:
                error = failed
            else:
                return data
            time.sleep(_PAUSE)
            asked = self._ask(image, number)
        raise UnavailableError(
            f"the node {image.node} does not send the image {image.path}: {error}"
        ) from error
