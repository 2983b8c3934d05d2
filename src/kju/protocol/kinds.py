"""The kinds of emulators: the one table of them.

A new kind is a folder ``kju/emulators/NAME`` with the modules ``launch`` and ``emulator`` (see
`kju.emulators.launch`), and one line here.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from msgspec import Meta

from ..errors import EmulatorError, QemuError, XvfbError


class EmulatorKind(NamedTuple):
    """One kind of emulator.

    Attributes:
        name: Of its folder, of its log (``NAME.log``) and of its entry in a machine's info.
        title: For messages.
        error: Raised where it is missing, refuses to start, or fails.
        has_guest: Whether it runs a guest: it has QMP, snapshots, a power button and disks.
        is_remote: Whether it shows another host's machine.
    """

    name: str
    title: str
    error: type[EmulatorError]
    has_guest: bool = False
    is_remote: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        EmulatorKind("qemu", "QEMU", QemuError, has_guest=True),
        EmulatorKind("xvfb", "Xvfb", XvfbError),
        EmulatorKind("mirror", "the mirror", EmulatorError, is_remote=True),
    )
}
#: The name of a kind, in messages.
KindName = Annotated[str, Meta(pattern=rf"\A({'|'.join(KINDS)})\Z")]
