"""Messages of org.qemu.Display1, each built by one pure function.

Peer to peer there is no bus, so nobody routes by bus name; jeepney insists on one in
every method call and gets a dummy, which QEMU ignores.

Source:
    docs/interop/dbus-display (QEMU's manual), and the D-Bus specification.
"""

from __future__ import annotations

from array import array
from typing import Any

from ._jeepney import low_level, wrappers

VM = "org.qemu.Display1.VM"
CONSOLE = "org.qemu.Display1.Console"
KEYBOARD = "org.qemu.Display1.Keyboard"
MOUSE = "org.qemu.Display1.Mouse"
LISTENER = "org.qemu.Display1.Listener"
LISTENER_MAP = "org.qemu.Display1.Listener.Unix.Map"
PROPERTIES = "org.freedesktop.DBus.Properties"
PEER = "org.freedesktop.DBus.Peer"

VM_PATH = "/org/qemu/Display1/VM"
LISTENER_PATH = "/org/qemu/Display1/Listener"

NOBODY = "org.qemu"
"""The dummy destination."""

Message = Any
"""A jeepney message; jeepney carries no types."""


def console_path(index: int) -> str:
    """The object path of one console."""
    return f"/org/qemu/Display1/Console_{index}"


def call(path: str, interface: str, member: str, signature: str = "", *body: object) -> Message:
    """Build a method call; the functions below are all made of it."""
    address = wrappers.DBusAddress(path, bus_name=NOBODY, interface=interface)
    return wrappers.new_method_call(address, member, signature or None, body)


def get_property(path: str, interface: str, name: str) -> Message:
    """Ask for one property; the answer's body is one variant."""
    return call(path, PROPERTIES, "Get", "ss", interface, name)


def get_properties(path: str, interface: str) -> Message:
    """Ask for all properties of an interface; the answer's body is one ``a{sv}``."""
    return call(path, PROPERTIES, "GetAll", "s", interface)


def console_ids() -> Message:
    """Ask for VM.ConsoleIDs, the indices of the consoles there are."""
    return get_property(VM_PATH, VM, "ConsoleIDs")


def register_listener(console: int, fd: int) -> Message:
    """Hand QEMU one end of a socketpair; be ready to serve the other before the answer."""
    return call(console_path(console), CONSOLE, "RegisterListener", "h", fd)


def set_ui_info(
    console: int,
    width: int,
    height: int,
    *,
    width_mm: int = 0,
    height_mm: int = 0,
    x: int = 0,
    y: int = 0,
) -> Message:
    """Tell the guest the size and place of the window it is shown in."""
    path = console_path(console)
    body = (width_mm, height_mm, x, y, width, height)
    return call(path, CONSOLE, "SetUIInfo", "qqiiuu", *body)


def key(console: int, keycode: int, pressed: bool) -> Message:
    """Press or release one key, by QEMU key number (qnum)."""
    member = "Press" if pressed else "Release"
    return call(console_path(console), KEYBOARD, member, "u", keycode)


def serialise(message: Message, serial: int) -> tuple[bytes, list[int]]:
    """Turn a message into bytes and the descriptors that go with its first byte.

    Args:
        message: Built by this module.
        serial: 1 to 2^32 - 1; the answer names it.
    """
    fds: array[int] = array("i")
    data: bytes = message.serialise(serial=serial, fds=fds)
    return data, list(fds)


def method_return(
    reply_serial: int, serial: int, signature: str = "", body: tuple[object, ...] = ()
) -> bytes:
    """The bytes of a successful answer."""
    return _reply(low_level.MessageType.method_return, reply_serial, serial, signature, body)


def error(reply_serial: int, serial: int, name: str, text: str) -> bytes:
    """The bytes of an answer that says why not."""
    text = text.replace("\0", " ")  # a D-Bus string has none; the peer would hang up
    return _reply(low_level.MessageType.error, reply_serial, serial, "s", (text,), name)


def _reply(
    kind: object,
    reply_serial: int,
    serial: int,
    signature: str,
    body: tuple[object, ...],
    error_name: str = "",
) -> bytes:
    header = wrappers.new_header(kind)
    if error_name:
        header.fields[low_level.HeaderFields.error_name] = error_name
    header.fields[low_level.HeaderFields.reply_serial] = reply_serial
    if signature:
        header.fields[low_level.HeaderFields.signature] = signature
    data: bytes = low_level.Message(header, body).serialise(serial=serial)
    return data
