"""The encoders of one screen: one for each way that its viewers read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import blocks, photos
from .encoder import Encoder
from .lossy import LossyEncoder
from .messages import JPEG, Codec, Hello

if TYPE_CHECKING:
    from ..surface.consumer import Consumer


class Encoders:
    """Each is made for its first viewer, and shared by all that read alike.

    Args:
        consumer: The screen.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._made: dict[tuple[Codec, bool], Encoder] = {}

    def of(self, hello: Hello) -> Encoder:
        """The one for whoever says this.

        The viewer's list decides, where there is any of it here. An audience has what all read.
        """
        known = blocks.known()
        wanted = [each for name in hello.codecs for each in known if each == name]
        codec = known[0] if hello.audience or not wanted else wanted[0]
        lossy = hello.lossy and JPEG in hello.codecs and photos.known() and not hello.audience
        if (codec, lossy) not in self._made:
            make = LossyEncoder if lossy else Encoder
            self._made[codec, lossy] = make(self._consumer, codec)
        return self._made[codec, lossy]
