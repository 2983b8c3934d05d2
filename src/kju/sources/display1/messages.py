"""The messages of org.qemu.Display1, each built by one pure function.

A peer-to-peer connection has no bus names. jeepney requires one in every method call, so each call
has a dummy, which QEMU ignores.

Source:
    docs/interop/dbus-display (QEMU's manual), and the D-Bus specification.
"""

from __future__ import annotations

from array import array
from typing import Any

from jeepney import low_level, wrappers

VM = "org.qemu.Display1.VM"
CONSOLE = "org.qemu.Display1.Console"
KEYBOARD = "org.qemu.Display1.Keyboard"
MOUSE = "org.qemu.Display1.Mouse"
LISTENER = "org.qemu.Display1.Listener"
LISTENER_MAP = "org.qemu.Display1.Listener.Unix.Map"
PROPERTIES = "org.freedesktop.DBus.Properties"
PEER = "org.freedesktop.DBus.Peer"

_VM_PATH = "/org/qemu/Display1/VM"
LISTENER_PATH = "/org/qemu/Display1/Listener"

#: The dummy destination.
_DUMMY_NAME = "org.qemu"
#: A jeepney message; jeepney has no types.
Message = Any


def console_path(index: int) -> str:
    """Return the object path of one console."""
    return f"/org/qemu/Display1/Console_{index}"


def call(path: str, interface: str, member: str, signature: str = "", *body: object) -> Message:
    """Build a method call; all functions below use it."""
    address = wrappers.DBusAddress(path, bus_name=_DUMMY_NAME, interface=interface)
    return wrappers.new_method_call(address, member, signature or None, body)


def get_property(path: str, interface: str, name: str) -> Message:
    """Build a request for one property; the reply's body is one variant."""
    return call(path, PROPERTIES, "Get", "ss", interface, name)


def get_properties(path: str, interface: str) -> Message:
    """Build a request for all properties of an interface; the reply's body is ``a{sv}``."""
    return call(path, PROPERTIES, "GetAll", "s", interface)


def console_ids() -> Message:
    """Build a request for VM.ConsoleIDs, the indices of the consoles."""
    return get_property(_VM_PATH, VM, "ConsoleIDs")


def register_listener(console: int, fd: int) -> Message:
    """Build a call that gives QEMU one end of a pair; serve the other end before the reply."""
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
    """Build a call that gives the guest the size and place of its window."""
    path = console_path(console)
    body = (width_mm, height_mm, x, y, width, height)
    return call(path, CONSOLE, "SetUIInfo", "qqiiuu", *body)


def key(console: int, keycode: int, pressed: bool) -> Message:
    """Build a call that presses or releases a key, by QEMU key number (qnum)."""
    member = "Press" if pressed else "Release"
    return call(console_path(console), KEYBOARD, member, "u", keycode)


def serialise(message: Message, serial: int) -> tuple[bytes, list[int]]:
    """Return a message as bytes, and the descriptors to send with the first byte.

    Args:
        message: A message of this module.
        serial: 1 to 2^32 - 1; the reply names it.
    """
    fds: array[int] = array("i")
    data: bytes = message.serialise(serial=serial, fds=fds)
    return data, list(fds)


def method_return(
    reply_serial: int, serial: int, signature: str = "", body: tuple[object, ...] = ()
) -> bytes:
    """Return the bytes of a successful reply."""
    return _reply(low_level.MessageType.method_return, reply_serial, serial, signature, body)


def error(reply_serial: int, serial: int, name: str, text: str) -> bytes:
    """Return the bytes of an error reply."""
    text = text.replace("\0", " ")  # not allowed in a D-Bus string: the peer would hang up
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
