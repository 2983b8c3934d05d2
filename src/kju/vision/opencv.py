"""OpenCV, an optional and large dependency, imported when it is needed."""

from __future__ import annotations

from typing import Any

from .. import extras
from ..errors import MissingError


def opencv(purpose: str, extra: str) -> Any:  # noqa: ANN401  a module without types
    """Return the module.

    Raises:
        MissingError: It is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingError(extras.message(extra, purpose, ["OpenCV"])) from error
    return cv2
