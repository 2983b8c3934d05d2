"""All texts that a widget and its children show or tell a screen reader."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from PySide6.QtCore import QAbstractItemModel, QAbstractListModel, QModelIndex, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QLabel,
    QPlainTextEdit,
    QTabBar,
    QWidget,
)

_ROLES = (
    Qt.ItemDataRole.DisplayRole,
    Qt.ItemDataRole.ToolTipRole,
    Qt.ItemDataRole.AccessibleTextRole,
    Qt.ItemDataRole.AccessibleDescriptionRole,
)
_TAG = re.compile(r"</?(span|qt|br)>")
#: Inserted into paths, so that long ones are wrapped.
_BREAK = "/\N{ZERO WIDTH SPACE}"


def shown_texts(root: QWidget) -> list[str]:
    """Return the texts, without empty ones; tooltips and lines of a text view one by one.

    Texts that the user types are left out.
    """
    found: list[str] = []
    for widget in (root, *root.findChildren(QWidget)):
        found += _texts(widget)
    return [text.replace(_BREAK, "/") for text in found if text]


def _texts(widget: QWidget) -> Iterator[str]:
    yield widget.windowTitle()
    yield widget.accessibleName()
    yield widget.accessibleDescription()
    yield plain(widget.toolTip())
    if isinstance(widget, QLabel):
        if widget.textFormat() is Qt.TextFormat.PlainText:
            yield from widget.text().splitlines()
        else:
            yield plain(widget.text())
    elif isinstance(widget, QAbstractButton):
        yield widget.text()
    elif isinstance(widget, QTabBar):
        for index in range(widget.count()):
            yield widget.tabText(index)
            yield plain(widget.tabToolTip(index))
    elif isinstance(widget, QPlainTextEdit):
        yield from widget.toPlainText().splitlines()
    elif isinstance(widget, QAbstractItemView) and widget.model() is not None:
        yield from _item_texts(widget.model(), QModelIndex())


def _item_texts(model: QAbstractItemModel, above: QModelIndex) -> Iterator[str]:
    for row in range(model.rowCount(above)):
        # QAbstractListModel hides its columnCount: a list has one column.
        columns = 1 if isinstance(model, QAbstractListModel) else model.columnCount(above)
        for column in range(columns):
            index = model.index(row, column, above)
            for role in _ROLES:
                value = index.data(role)
                if isinstance(value, str):
                    yield plain(value) if role is Qt.ItemDataRole.ToolTipRole else value
        if not isinstance(model, QAbstractListModel):
            yield from _item_texts(model, model.index(row, 0, above))


def plain(text: str) -> str:
    """Return the text that Qt draws for HTML of ours; other HTML stays, with its brackets."""
    bare = _TAG.sub("", text)
    assert "<" not in bare, f"HTML in {text!r}"
    return html.unescape(bare)
