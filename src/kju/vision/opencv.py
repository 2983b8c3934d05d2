"""OpenCV, which is large and no requirement of kju's: imported by what needs it, when it does."""

from __future__ import annotations

from typing import Any

from .. import extras
from ..errors import MissingError


def opencv(purpose: str, extra: str) -> Any:  # noqa: ANN401  its types are no part of ours
    """The module.

    Raises:
        MissingError: It is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingError(extras.message(extra, purpose, ["OpenCV"])) from error
    return cv2
