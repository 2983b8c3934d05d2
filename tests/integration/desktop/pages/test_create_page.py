"""The create page and its tabs: real widgets, real dry runs, real machines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import kju
from kju.store import definitions
from kju.store.paths import definitions_folder

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")

from PySide6.QtCore import QEvent, QMimeData, Qt, QUrl
from PySide6.QtGui import QFont
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton, QWidget
from support.qt_drops import drop
from support.qt_wait import until


class Page:
    """A create page and what it has sent."""

    until = staticmethod(until)

    def __init__(self, *taken: str) -> None:
        from kju.desktop.qt.pages.create_page import CreatePage

        self.qt = QApplication.instance() or QApplication(["kju"])
        self.sent: list[tuple[str, ...]] = []
        self.widget = CreatePage(lambda: set(taken))
        self.widget.started.connect(lambda name: self.sent.append(("started", name)))
        self.widget.saved.connect(lambda name: self.sent.append(("saved", name)))
        self.widget.cancelled.connect(lambda: self.sent.append(("cancelled",)))
        self.widget.resize(800, 700)
        self.widget.show()
        self.widget.activateWindow()
        self.until(self.widget.isActiveWindow)

    @property
    def form(self):
        return self.widget.form

    @property
    def foot(self):
        return self.widget.foot

    def editor(self, key: str) -> QWidget:
        return self.widget.view.rows[key].editor

    def error(self, key: str) -> str:
        return self.widget.view.rows[key].error.text.replace("\N{ZERO WIDTH SPACE}", "")

    def type(self, key: str, text: str) -> None:
        editor = self.editor(key)
        editor.setFocus()
        if hasattr(editor, "selectAll"):
            editor.selectAll()
        QTest.keyClicks(editor, text)

    def planned(self) -> str:
        self.until(lambda: self.form.plan is not None, f"planned, not {self.form.errors}")
        return self.form.command_line

    def close(self) -> None:
        self.widget.close()
        self.qt.processEvents()
        self.until(lambda: not [t for t in threading.enumerate() if t.name == "kju-plan"])


@pytest.fixture
def page(runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    made = Page("debian")
    yield made
    made.close()


@pytest.fixture
def iso(tmp_path: Path) -> Path:
    """A CD by its contents alone: nothing in its name tells."""
    path = tmp_path / "debian"
    path.write_bytes(bytes(0x8001) + b"CD001" + bytes(4096))
    return path


def test_dropped_cd_fills_the_page_and_start_makes_and_starts_the_machine(
    page: Page, iso: Path
) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(iso))])
    assert drop(page.widget, data)
    assert page.editor("image").text() == str(iso)
    assert page.editor("name").text() == "debian-2"
    page.until(lambda: page.editor("disk").text() == "20G", "a disk is proposed")
    page.type("memory", "64M")
    assert "media=cdrom" in page.planned() and "-m 64M" in page.planned()
    page.type("disk", "1M")
    QTest.keyClick(page.editor("disk"), Qt.Key.Key_Return)
    page.until(lambda: page.sent, f"started, not {page.form.errors}")
    try:
        assert page.sent == [("started", "debian-2")]
        definition = definitions.read("debian-2").definition
        assert (definition.image, definition.disks) == (str(iso), ["disk.qcow2"])
        assert definition.memory == "64M"
        with kju.attach("debian-2") as machine:
            assert machine.info()["state"] == "running"
    finally:
        with kju.attach("debian-2") as machine:
            machine.stop()


def test_errors_stand_beside_their_fields_while_typed(page: Page, tmp_path: Path) -> None:
    page.type("memory", "lots")
    assert page.error("memory").startswith("invalid memory size 'lots'")
    assert not page.foot.start.isEnabled() and not page.foot.save.isEnabled()
    assert "invalid" in page.editor("memory").accessibleDescription()
    page.type("memory", "1G")
    assert page.error("memory") == ""
    page.planned()
    assert page.foot.start.isEnabled()
    missing = tmp_path / "a&b" / "<i>no.img"
    page.type("image", str(missing))
    page.until(lambda: page.error("image"), "the dry run's error")
    assert "cannot be read: No such file or directory" in page.error("image")
    assert not page.foot.start.isEnabled()
    missing.parent.mkdir()
    missing.write_bytes(bytes(512))
    # The user comes back from another program.
    page.qt.sendEvent(page.widget, QEvent(QEvent.Type.WindowActivate))
    page.planned()
    assert page.error("image") == ""


def test_edit_keeps_the_rest_of_the_definition_and_saves(page: Page, iso: Path) -> None:
    folder = definitions_folder() / "web"
    folder.mkdir(parents=True, mode=0o700)
    text = f"# mine\nimage = '{iso}' # the CD\nmemory = '64M'\nfuture = 1\n[more]\nx = 2\n"
    (folder / "machine.toml").write_text(text)
    page.widget.edit_machine("web")
    page.until(lambda: page.form.old is not None)
    assert page.editor("memory").text() == "64M"
    assert not page.editor("name").isEnabled() and "disk" not in page.widget.view.rows
    page.type("memory", "128M")
    assert "-m 128M" in page.planned()
    # With an unknown key it can be saved, and not started.
    assert page.foot.save.isEnabled() and not page.foot.start.isEnabled()
    QTest.mouseClick(page.foot.save, Qt.MouseButton.LeftButton)
    page.until(lambda: page.sent, f"saved, not {page.form.errors}")
    assert page.sent == [("saved", "web")]
    assert (folder / "machine.toml").read_text() == text.replace("'64M'", '"128M"')


def test_machine_that_does_not_start_is_defined_and_the_page_goes_on_with_it(page: Page) -> None:
    page.type("name", "odd")

    def type_devices(text: str) -> None:
        page.widget.view.rows["devices"].show_value(text)
        page.widget.view.rows["devices"].edited.emit("devices", text)

    type_devices("virtio-rngs-pci")
    page.until(lambda: page.error("devices"), "the dry run's error")
    assert "this QEMU has no such device (do you mean virtio-rng-pci?)" in page.error("devices")
    # A value of a property is checked by QEMU only.
    type_devices("virtio-rng-pci,max-bytes=x")
    page.planned()
    QTest.mouseClick(page.foot.start, Qt.MouseButton.LeftButton)
    page.until(lambda: page.sent and page.form.old is not None, "defined")
    assert page.sent == [("saved", "odd")] and page.widget.has_failed
    assert "max-bytes" in page.error("devices")
    assert page.form.errors.keys() == {"devices"}
    assert page.foot.start.isEnabled(), "it can be tried again"
    assert page.foot.start.text() == "Save and start"
    assert definitions.names() == ["odd"]


def test_cancel_and_a_name_that_another_machine_has(page: Page) -> None:
    page.type("name", "debian")
    assert "already" in page.error("name")
    QTest.keyClick(page.editor("name"), Qt.Key.Key_Escape)
    assert page.sent == [("cancelled",)]
    assert definitions.names() == []


def test_every_control_has_a_name_and_fits_with_large_fonts(page: Page) -> None:
    page.widget.view._fold.open()
    for kind in (QLineEdit, QPushButton):
        for control in page.widget.findChildren(kind):
            known = control.accessibleName() or getattr(control, "text", str)()
            assert known or control.parent().accessibleName(), control
    for label in page.widget.findChildren(QLabel):
        assert label.textFormat() == Qt.TextFormat.PlainText or not label.text()
    font = QFont(page.widget.font())
    font.setPointSizeF(font.pointSizeF() * 2)
    page.widget.setFont(font)
    page.widget.resize(1024, 700)
    page.planned()
    page.until(lambda: page.widget.width() == 1024)
    for row in page.widget.view.rows.values():
        right = row.mapTo(page.widget, row.rect().topRight()).x()
        assert right < 1024 and row.width() >= row.minimumSizeHint().width(), row.field.key
    for button in page.foot.findChildren(QPushButton):
        assert button.width() >= button.minimumSizeHint().width()
