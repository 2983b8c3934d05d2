"""Work on pictures that takes time but needs no event loop."""

from __future__ import annotations

from ..client.consumer.frame import Frame
from ..errors import MissingError
from .labels import Labels, boxes_of
from .pictures import View


def labels_of(frame: Frame, view: View, language: str) -> Labels:
    """Return numbered labels on a picture.

    Args:
        frame: The whole screen, B G R X.
        view: The view of the picture.
        language: Tesseract's name of the expected language.

    Raises:
        MissingError: OpenCV is not installed.
    """
    from ..vision.ocr import read

    try:
        text = read(frame, view.region, language)
    except MissingError:
        text = None
    return Labels(frame, boxes_of(frame, view.region, text), view)
