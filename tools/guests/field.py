#!/usr/bin/env python3
"""Builds what the tiny Linux guest needs to show a graphical text field: an editor on an X server.

Prints the path of an initramfs, to stand before that of linux.py. In it are Debian's Xorg with the
drivers that a desktop has (modesetting, libinput) and a GTK editor; no window manager, no udev.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from kju.guests import boot, debian

PACKAGES = (
    "l3afpad",
    "xserver-xorg-core",
    "xserver-xorg-input-libinput",
    "x11-xkb-utils",
    "xkb-data",
    "fonts-dejavu-core",
)
#: Large packages that are only depended on, and of which nothing here is linked with.
UNUSED = re.compile(
    "adduser|adwaita|dbus$|dbus-|dconf|debconf|dpkg|fontconfig$|gcc|gtk-up|init-|keyboard-|libcrypts"
    "|libdb5|libegl|libgdbm|libgl[1av]|libicu|libllvm|libperl|libpam-|libsem|libssl|libsystemd-s|libwebp"
    "|libxml|libz3|mount|passwd|perl|procps|shared-mime|systemd|sysvinit|tar$|udev$|x11-common"
    "|libgtk-3-common"
)
PROGRAMS = (
    "usr/lib/xorg/Xorg",
    "usr/lib/xorg/modules/drivers/modesetting_drv.so",
    "usr/lib/xorg/modules/input/libinput_drv.so",
    "usr/lib/xorg/modules/libshadow.so",
    "usr/bin/xkbcomp",
    "usr/bin/l3afpad",
)
DATA = (
    "usr/share/X11/xkb/compat/*",
    "usr/share/X11/xkb/geometry/pc",
    "usr/share/X11/xkb/keycodes/*",
    "usr/share/X11/xkb/rules/base",
    "usr/share/X11/xkb/rules/evdev",
    "usr/share/X11/xkb/symbols/*",
    "usr/share/X11/xkb/types/*",
    "usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
    "usr/share/libinput/10-generic-keyboard.quirks",
)
LOADER = "lib64/ld-linux-x86-64.so.2"
LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><cachedir>/tmp/fonts</cachedir></fontconfig>
"""
#: The pointer rests in the middle of the screen, and without a window manager the window that it
#: is over gets the keys: the mode is one whose middle the editor's window covers.
SCREEN = """Section "ServerFlags"
    Option "AutoAddDevices" "off"
    Option "BlankTime" "0"
EndSection
Section "Module"
    Disable "glx"
EndSection
Section "Device"
    Identifier "card"
    Driver "modesetting"
    Option "AccelMethod" "none"
EndSection
Section "Screen"
    Identifier "screen"
    Device "card"
    SubSection "Display"
        Modes "640x480"
    EndSubSection
EndSection
"""
#: libinput takes a device that udev's database calls a keyboard; here that is written by hand.
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1
wanted=$(sed -n 's/.*kju.keyboard=\\([^ ]*\\).*/\\1/p' /proc/cmdline)
load() {
    for need in $(sed -n "s/^$1 //p" /modules/depends); do load $need; done
    [ ! -e /modules/$1.ko ] || [ -e /sys/module/$1 ] || insmod /modules/$1.ko
}
for name in bochs virtio_pci virtio_input usbhid hid_generic uhci_hcd xhci_pci evdev; do
    load $name
done
while ! grep -q "^N: Name=.*$wanted.*[Kk]eyboard" /proc/bus/input/devices; do usleep 20000; done
for event in /sys/class/input/event*; do
    grep -q "[Kk]eyboard" $event/device/name || continue
    printf 'I:1\\nE:ID_INPUT=1\\nE:ID_INPUT_KEYBOARD=1\\n' >/run/udev/data/c$(cat $event/dev)
    name=${event##*/}
    cat >>/field/xorg.conf <<END
Section "InputDevice"
    Identifier "$name"
    Driver "libinput"
    Option "Device" "/dev/input/$name"
EndSection
END
    devices="$devices InputDevice \\"$name\\" \\"CoreKeyboard\\"
"
done
printf 'Section "ServerLayout"\\nIdentifier "all"\\nScreen "screen"\\n%sEndSection\\n' "$devices" \\
    >>/field/xorg.conf
export HOME=/tmp DISPLAY=:0 NO_AT_BRIDGE=1 GTK_A11Y=none
mkfifo /tmp/started
# A guest that waits for the processor while a key is down would repeat the key.
/usr/lib/xorg/Xorg :0 -ardelay 600000 -displayfd 3 -config /field/xorg.conf \
    -logfile /tmp/xorg.log -nolisten tcp \
    3>/tmp/started 2>/tmp/said || { cat /tmp/said /tmp/xorg.log; echo "kju: no X server"; } &
read -r display </tmp/started
: >/tmp/text
/usr/bin/l3afpad /tmp/text 2>/dev/null &
editor=$!
echo "kju: starting"
while true; do
    read -r -t 0.2 line
    [ -s /tmp/text ] || continue
    while ls -l /proc/$editor/fd | grep -q /tmp/text; do usleep 10000; done
    { echo begin; base64 /tmp/text; echo end; } >/dev/ttyS1
    : >/tmp/text
done
"""
FOLDERS = ("dev", "proc", "run", "run/udev", "run/udev/data", "sys", "tmp", "var", "var/lib",
           "var/lib/xkb")  # fmt: skip


def build() -> Path:
    """Fetches and builds what is missing: 40 MB.

    Raises:
        debian.GuestError: No Debian, no network and nothing in the cache.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    folder = debian.cache() / f"field-{digest}"
    with debian.locked():
        if not folder.exists():
            with debian.appearing(folder) as new:
                _fill(new)
    return folder / "field.cpio"


def _fill(new: Path) -> None:
    root = new / "root"
    root.mkdir()
    apt = debian.Apt()
    needed = [name for name in apt.closure(PACKAGES) if not UNUSED.match(name)]
    for package in apt.download(needed, new):
        debian.unpack(package, root)
    (new / "field.cpio").write_bytes(_archive(root))
    shutil.rmtree(root)


def _archive(root: Path) -> bytes:
    # Not compressed: unpacking it under emulation would take longer than reading it.
    files = {name: (root / name).read_bytes() for name in _linked(root, PROGRAMS)}
    data = [path for pattern in DATA for path in sorted(root.glob(pattern)) if path.is_file()]
    files |= {str(path.relative_to(root)): path.read_bytes() for path in data}
    files["etc/fonts/fonts.conf"] = FONTS.encode()
    files["field/xorg.conf"] = SCREEN.encode()
    files["field/init"] = INIT.encode()
    archive = boot.CpioArchive()
    above = {parent for name in files for parent in Path(name).parents}
    folders = {str(folder) for folder in above} | set(FOLDERS)
    for folder in sorted(folders - {"."}):
        archive.add(folder, boot.FOLDER)
    for name, content in files.items():
        archive.add(name, boot.PROGRAM, content)
    return archive.finish()


def _linked(root: Path, programs: Iterable[str]) -> set[str]:
    """The files that programs are linked with, and they themselves."""
    found, waiting = {LOADER}, list(programs)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        said = debian.run("readelf", "-d", root / name)
        waiting += [_library(root, word) for word in re.findall(r"NEEDED\).*\[(.*)\]", said)]
    return found


def _library(root: Path, name: str) -> str:
    if name == Path(LOADER).name:
        return LOADER
    for folder in LIBRARIES:
        if (root / folder / name).exists():
            return f"{folder}/{name}"
    raise debian.GuestError(f"no package that was fetched has {name}")


def main() -> None:
    """The command line."""
    try:
        print(build())
    except debian.GuestError as error:
        raise SystemExit(f"text field guest: {error}") from error


if __name__ == "__main__":
    main()
