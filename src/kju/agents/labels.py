"""Numbered labels on a picture of a screen, for models that point badly.

Boxes come from the text that was read and from edges, which show buttons, fields and icons. A box
that frames one text takes its place. The numbers are valid for the pixels that were labelled: a
label whose place has changed is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import MissingError, UsageError
from ..surface import Mark
from ..surface.geometry import Rect
from ..vision.areas import cut_out, pixel_words
from ..vision.finding import middle
from ..vision.match import opencv
from ..vision.text import Text
from .pictures import Picture, Size, View

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..client.consumer.frame import Frame

    Pixels = npt.NDArray[np.uint8]

#: The most labels of one picture.
_MAX_LABELS = 200
#: Sides of boxes from edges, in pixels: smaller ones are noise, larger ones are windows.
_MIN_SIDE, _MAX_WIDTH, _MAX_HEIGHT = 8, 480, 80
#: A frame around a text is at most so many times as large as the text.
_MAX_FRAME = 12
# Labels whose middles are in one band of this height are numbered from the left.
_ROW = 12
_COLOURS = ((214, 40, 40), (0, 92, 200), (0, 120, 60), (150, 60, 190), (190, 90, 0), (0, 120, 130))


class Label(NamedTuple):
    """One label.

    Attributes:
        number: Its number on the picture, from 1.
        rect: Its place on the screen.
        text: The text in it; None without one.
    """

    number: int
    rect: Rect
    text: str | None = None


class Labels:
    """The labels of one picture.

    Attributes:
        boxes: The labels, from the top; of labels at one height the left one first.
        mark: The state of the screen that was labelled.
        picture: The picture with the numbers.
    """

    def __init__(self, frame: Pixels, boxes: Sequence[Label], view: View) -> None:
        """Draw the labels.

        Args:
            frame: The whole screen: B G R X, or one byte a pixel.
            boxes: The labels.
            view: The view of the picture.
        """
        self.boxes = tuple(boxes)
        self.mark: Mark = view.mark
        self._frame = frame
        self.picture = Picture(view, _drawn(frame, self.boxes, view))

    def __len__(self) -> int:
        return len(self.boxes)

    def box(self, number: int) -> Label:
        """Return a label.

        Raises:
            UsageError: The picture has no such label.
        """
        valid = isinstance(number, int) and not isinstance(number, bool)
        if not valid or not 1 <= number <= len(self.boxes):
            known = f"the labels are 1 to {len(self.boxes)}" if self.boxes else "it has none"
            raise UsageError(f"the picture has no label {number!r:.20}: {known}")
        return self.boxes[number - 1]

    def point(self, number: int, now: Pixels) -> tuple[int, int]:
        """Return the pixel of the screen to click for a label.

        Args:
            number: The number of the label.
            now: The whole screen now, in the order of channels of the frame that was labelled.

        Raises:
            UsageError: The picture has no such label, or the screen has changed at its place.
        """
        box = self.box(number)
        old, new = self._frame, now
        same = old.shape == new.shape and not np.any(
            pixel_words(cut_out(old, box.rect)) != pixel_words(cut_out(new, box.rect))
        )
        if not same:
            raise UsageError(
                f"the screen has changed at label {number} since version {self.mark.version}, which"
                " the labels belong to: ask for new labels"
            )
        return middle(box.rect)

    def words(self) -> str:
        """Return a list of the labels with their texts, one a line."""
        return "\n".join(
            "{}: {} at {},{}".format(box.number, box.text or "(no text)", *middle(box.rect))
            for box in self.boxes
        )


def boxes_of(frame: Pixels, region: Rect, text: Text | None) -> list[Label]:
    """Return the labels of a part of a screen.

    Args:
        frame: The whole screen: B G R X, or one byte a pixel.
        region: The part.
        text: The text that was read there, if any.

    Raises:
        MissingError: OpenCV is not installed.
    """
    texts = [phrase for line in (text.lines if text else ()) for phrase in line.phrases]
    framed, free = _sorted_edges(list(edges(frame, region)), [phrase.rect for phrase in texts])
    boxes = [(framed.get(at, phrase.rect), phrase.text) for at, phrase in enumerate(texts)]
    found = _without_overlaps([*boxes, *((rect, None) for rect in free)])
    found = sorted(found, key=lambda one: (middle(one[0])[1] // _ROW, one[0].x))
    return [
        Label(number, rect, words) for number, (rect, words) in enumerate(found[:_MAX_LABELS], 1)
    ]


def edges(frame: Pixels, region: Rect) -> Iterator[Rect]:
    """Yield the boxes around closed edges: buttons, fields, icons, and letters.

    Args:
        frame: The whole screen: B G R X, or one byte a pixel.
        region: The part.

    Raises:
        MissingError: OpenCV is not installed.
    """
    cv = opencv("numbered labels", "image")
    part = np.ascontiguousarray(cut_out(np.asarray(frame), region))
    grey = part if part.ndim == 2 else cv.cvtColor(part, cv.COLOR_BGRA2GRAY)
    drawn = cv.dilate(cv.Canny(grey, 40, 120), np.ones((3, 3), np.uint8))
    contours, _ = cv.findContours(drawn, cv.RETR_LIST, cv.CHAIN_APPROX_SIMPLE)
    for contour in contours:
        x, y, width, height = (int(value) for value in cv.boundingRect(contour))
        if _MIN_SIDE <= width <= _MAX_WIDTH and _MIN_SIDE <= height <= _MAX_HEIGHT:
            yield Rect(region.x + x, region.y + y, width, height)


def _sorted_edges(found: list[Rect], texts: list[Rect]) -> tuple[dict[int, Rect], list[Rect]]:
    """Return the frames of single texts, by the text's index, and the boxes without a text."""
    framed: dict[int, Rect] = {}
    free: list[Rect] = []
    for edge in found:
        touched = [at for at, text in enumerate(texts) if edge.intersection(text)]
        if not touched:
            free.append(edge)
        elif len(touched) == 1 and edge.contains(texts[touched[0]]):
            at = touched[0]
            fits = edge.area <= _MAX_FRAME * texts[at].area
            if fits and (at not in framed or edge.area > framed[at].area):
                framed[at] = edge
    return framed, free


def _without_overlaps(
    boxes: list[tuple[Rect, str | None]],
) -> list[tuple[Rect, str | None]]:
    """Drop boxes without a text that overlap a kept one; of two, keep the larger one."""
    kept: list[tuple[Rect, str | None]] = []
    for rect, words in sorted(boxes, key=lambda one: (one[1] is None, -one[0].area)):
        if words is not None or not any(rect.intersection(other) for other, _ in kept):
            kept.append((rect, words))
    return kept


def _drawn(frame: Pixels, boxes: Sequence[Label], view: View) -> Pixels:
    """Return the view's pixels, R G B, with the labels."""
    from PIL import Image, ImageDraw, ImageFont

    from .pictures import picture_of

    plain = np.asarray(frame)
    rgb = plain if plain.ndim == 2 else np.ascontiguousarray(plain[..., 2::-1])
    image = Image.fromarray(picture_of(rgb, view).pixels.copy())
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    places = [_on_picture(view, box.rect) for box in boxes]
    taken = list(places)
    for box, place in zip(boxes, places, strict=True):
        colour = _COLOURS[box.number % len(_COLOURS)]
        corners = (place.x, place.y, place.right - 1, place.bottom - 1)
        draw.rectangle(corners, outline=colour)
        label = str(box.number)
        _, _, wide, high = draw.textbbox((0, 0), label, font=font)
        size = Size(int(wide) + 4, int(high) + 3)
        flag = _free_place(place, size, view.size, taken)
        taken.append(flag)
        draw.rectangle((flag.x, flag.y, flag.right - 1, flag.bottom - 1), fill=colour)
        draw.text((flag.x + 2, flag.y), label, fill=(255, 255, 255), font=font)
    return np.asarray(image)


def _on_picture(view: View, rect: Rect) -> Rect:
    """Return the frame around a rectangle of the screen, on the picture."""
    left, top = view.to_picture(rect.x, rect.y)
    right, bottom = view.to_picture(rect.right - 1, rect.bottom - 1)
    return Rect(left - 1, top - 1, right - left + 3, bottom - top + 3)


def _free_place(box: Rect, size: Size, picture: Size, taken: Sequence[Rect]) -> Rect:
    """Return a place for the number of a box: beside it, or on its corner where nothing is free."""
    width, height = size
    y = box.y + (box.height - height) // 2
    for x, at in (
        (box.x - width - 1, y),
        (box.right + 1, y),
        (box.x, box.y - height),
        (box.x, box.bottom),
    ):
        place = Rect(x, at, width, height)
        inside = Rect(0, 0, *picture).contains(place)
        if inside and not any(place.intersection(other) for other in taken):
            return place
    x = min(max(box.x - width // 2, 0), max(picture.width - width, 0))
    return Rect(x, min(max(box.y - height + 1, 0), max(picture.height - height, 0)), width, height)


def labels_of(frame: Frame, view: View, language: str) -> Labels:
    """Return numbered labels on a picture, with the text that is read. It takes up to a second.

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
