"""Dialog with the other computers whose machines the wall shows: add one, remove one, try now."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...escaping import one_line
from ...viewers.qt.palette import GRID, plain_tooltip, wrapped_label
from ..machines.entry import MachineEntry, MachineState
from ..machines.remote_addresses import RemoteAddress, address_fault
from ..machines.remote_machines import RemoteMachines

_ADDRESS = Qt.ItemDataRole.UserRole
_REFRESH_MS = 1000
_HELP = (
    "Machines that another computer serves (kju serve) stand on the wall with this computer's."
    " Opening one starts a mirror of its screen."
)


class ComputersDialog(QDialog):
    """The addresses, their states, and a form for another one.

    Args:
        parent: The window.
        remotes: The machines of other computers.
    """

    def __init__(self, parent: QWidget, remotes: RemoteMachines) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Other computers")
        self._remotes = remotes
        self.list = QListWidget()
        self.list.setAccessibleName("Other computers")
        self.address = QLineEdit(placeholderText="host1:7447")
        self.user = QLineEdit()
        self.insecure = QCheckBox("Connect &without encryption")
        self.fault = wrapped_label("")
        self.add = QPushButton("&Add")
        self.remove = QPushButton("&Remove")
        self.retry = QPushButton("&Try now")
        self._lay_out()
        self.address.textChanged.connect(self._check)
        self.user.textChanged.connect(self._check)
        self.insecure.toggled.connect(self._check)
        self.add.clicked.connect(self._add)
        self.remove.clicked.connect(self._remove)
        self.retry.clicked.connect(self._retry)
        self.list.itemSelectionChanged.connect(self._show_buttons)
        # While the dialog is open, for the time of the next attempt.
        timer = QTimer(self, interval=_REFRESH_MS)
        timer.timeout.connect(self._fill)
        timer.start()
        self._fill()
        self._check()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        for text, field, name in (
            ("A&ddress", self.address, "Address of the computer"),
            ("&User there", self.user, "Your user name there"),
        ):
            label = QLabel(text)
            label.setBuddy(field)
            field.setAccessibleName(name)
            form.addRow(label, field)
        form.addRow("", self.insecure)
        row = QHBoxLayout()
        for button in (self.add, self.retry, self.remove):
            button.setAutoDefault(False)
            row.addWidget(button)
        row.addStretch(1)
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(GRID)
        layout.addWidget(wrapped_label(_HELP))
        layout.addWidget(self.list, 1)
        layout.addLayout(form)
        layout.addWidget(self.fault)
        layout.addLayout(row)
        layout.addWidget(close)
        self.setMinimumWidth(self.fontMetrics().averageCharWidth() * 56)

    # ---- The list

    def _fill(self) -> None:
        chosen = self._chosen()
        texts = {each.connect: self._state_of(each) for each in self._remotes.addresses}
        have = {
            str(item.data(_ADDRESS)): item
            for row in range(self.list.count())
            if (item := self.list.item(row)) is not None
        }
        for connect in have.keys() - texts.keys():
            self.list.takeItem(self.list.row(have[connect]))
        for connect, text in texts.items():
            item = have.get(connect) or QListWidgetItem(self.list)
            item.setData(_ADDRESS, connect)
            if item.text() != text:
                item.setText(text)
                item.setToolTip(plain_tooltip(text))
            if connect == chosen:
                item.setSelected(True)
        self._show_buttons()

    def _state_of(self, address: RemoteAddress) -> str:
        entries = self._remotes.entries_of(address.connect)
        shown = one_line(address.connect, 200)
        if not entries:
            return f"{shown}   connecting\N{HORIZONTAL ELLIPSIS}"
        first = entries[0]
        if first.state is MachineState.UNREACHABLE:
            return f"{shown}   {one_line(_unreachable_words(first, time.time()), 400)}"
        count = len(entries)
        trip = f", {first.round_trip * 1000:.1f} ms" if first.round_trip is not None else ""
        return f"{shown}   {count} machine{'s' * (count != 1)}{trip}"

    def _chosen(self) -> str:
        items = self.list.selectedItems()
        return str(items[0].data(_ADDRESS)) if items else ""

    def _show_buttons(self) -> None:
        chosen = self._chosen()
        self.remove.setEnabled(bool(chosen))
        entries = self._remotes.entries_of(chosen) if chosen else []
        lost = any(entry.state is MachineState.UNREACHABLE for entry in entries)
        self.retry.setEnabled(lost)

    # ---- The form

    def _typed(self) -> RemoteAddress:
        return RemoteAddress(
            self.address.text().strip()[:300],
            self.user.text().strip()[:256],
            self.insecure.isChecked(),
        )

    def _check(self) -> None:
        address = self._typed()
        why = address_fault(address) if address.connect else ""
        self.fault.setText(one_line(why or self._remotes.fault, 400))
        self.fault.setAccessibleName(self.fault.text())
        self.add.setEnabled(bool(address.connect) and not why)

    def _add(self) -> None:
        if why := self._remotes.add(self._typed()):
            self.fault.setText(one_line(why, 400))
            return
        self.address.clear()
        self._fill()

    def _remove(self) -> None:
        if chosen := self._chosen():
            self._remotes.remove(chosen)
            self._fill()

    def _retry(self) -> None:
        if chosen := self._chosen():
            self._remotes.retry(chosen)


def _unreachable_words(entry: MachineEntry, now: float) -> str:
    """Return the reason why an address is unreachable, and when the next attempt is."""
    left = max(0, round((entry.next_try or now) - now))
    return f"unreachable: {entry.reason}; next attempt in {left} s"
