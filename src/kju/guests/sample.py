"""The sample guest: a small Linux that asks for a login, on a qcow2 disk that boots by itself.

It is Debian's kernel with busybox in an initramfs, which GRUB loads from the disk. There is a login
on the screen (1280x800 where the display is one that Linux has a driver for) and one on the first
serial port, for root without a password. The power button shuts it down. Nothing is written to
the disk by the guest, so files that are made in it last until it ends.
"""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..files import check_new, write_output
from . import cpio, debian, disk, kernel

#: To be raised when the code that writes the disk changes, so that users' disks are built again.
EDITION = 1
MEMORY = "256M"
_DISK, _RECIPE = "linux.qcow2", "linux.recipe"
#: What is downloaded for it, in bytes: most of it is the kernel package, with every driver.
DOWNLOAD = 80_000_000
MODULES = (
    "bochs",
    "virtio_gpu",
    "button",
    "evdev",
    "psmouse",
    "virtio_pci",
    "virtio_input",
    "usbhid",
    "hid_generic",
    "uhci_hcd",
    "ehci_pci",
    "xhci_pci",
)
#: Seconds until the prompt are spent on the kernel, not here: no menu and no pause.
_GRUB = """\
set root=(hd0,msdos1)
linux /vmlinuz quiet loglevel=0 console=ttyS0,115200 console=tty0
initrd /initrd
boot
"""
_GRUB_MODULES = ("biosdisk", "part_msdos", "tar", "linux")
_INIT = """\
#!/bin/busybox sh
export PATH=/bin HOME=/root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
hostname kju
for module in {modules}; do
    insmod "/modules/$module.ko"
done
# A USB tablet appears a moment after its bus. acpid opens it, and then it takes positions.
tries=0
while [ -e /sys/bus/usb/devices/usb1 ] && [ "$tries" -lt 100 ]; do
    grep -qi tablet /proc/bus/input/devices && break
    tries=$((tries + 1))
    sleep 0.1
done
acpid -l /dev/null
keep() {{ while :; do setsid getty "$@"; done; }}
keep 0 tty1 linux &
keep 115200 ttyS0 vt100 &
while :; do wait; done
"""
# -f: there is no init program that could be asked.
_FILES = {
    "etc/passwd": "root::0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/issue": "The sample guest of kju: the user is root, without a password.\n\n",
    "etc/profile": (
        "export PS1='root@kju:$PWD# '\n"
        "alias poweroff='poweroff -f' reboot='reboot -f' halt='halt -f'\n"
    ),
}
#: acpid runs this file when the power button is pressed.
_POWER_BUTTON = "etc/acpi/PWRF/00000080"
_BUTTON = "#!/bin/sh\nexec poweroff -f\n"


def build(say: Callable[[str], object] = lambda words: None) -> Path:
    """Return the path of the guest's disk; build it first if it is missing.

    The disk is shared by everybody who asks for it: copy it, or start it with ``-snapshot``.

    Args:
        say: Receives one line of progress for each step of a build.

    Raises:
        GuestError: A Debian archive does not answer, or a program to build with is missing.
        FileError: The cache folder cannot be used, or the disk cannot be written.
    """
    digest = _digest()
    with debian.locked() as home:
        known = home.has(_DISK) and home.has(_RECIPE)
        if not (known and home.read(_RECIPE) == digest):
            with tempfile.TemporaryDirectory(dir=home.path, prefix=".new-") as folder:
                made = _make(Path(folder), say).read_bytes()
            home.write_all({_DISK: (made, 0o600), _RECIPE: (digest, 0o600)})
        return home.path / _DISK


def copy(target: Path, say: Callable[[str], object] = lambda words: None) -> None:
    """Copy the guest's disk to a new file.

    Raises:
        GuestError: The guest cannot be built.
        FileError: The file exists already and is unchanged, or it cannot be written.
    """
    check_new(target)  # before a download of 80 MB
    write_output(target, build(say).read_bytes(), replace=False)


def _digest() -> bytes:
    """Return a digest of what decides the disk's contents, for disks that are built already."""
    parts = (EDITION, MODULES, _GRUB, _GRUB_MODULES, _INIT, _FILES, _BUTTON, debian.RELEASE)
    return hashlib.sha256(repr(parts).encode()).hexdigest().encode()


def _make(folder: Path, say: Callable[[str], object]) -> Path:
    say("reading Debian's package lists")
    apt = debian.Apt()
    say(f"downloading a kernel, busybox and GRUB (about {DOWNLOAD // 1_000_000} MB)")
    kernel.unpack(apt, kernel.newest(apt), MODULES, folder)
    root = disk.unpack(apt, folder)
    say("writing the disk")
    files = {"vmlinuz": (folder / "vmlinuz").read_bytes(), "initrd": _initrd(folder)}
    raw = folder / "linux.raw"
    disk.write(raw, root, modules=_GRUB_MODULES, config=_GRUB, files=files)
    made = folder / "linux.qcow2"
    debian.run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, made)
    return made


def _initrd(folder: Path) -> bytes:
    archive = cpio.Archive()
    for name in ("bin", "dev", "proc", "sys", "tmp", "run", "root", "modules"):
        archive.add(name, cpio.FOLDER)
    for name in ("etc", "etc/acpi", "etc/acpi/PWRF"):
        archive.add(name, cpio.FOLDER)
    archive.add("bin/busybox", cpio.PROGRAM, (folder / "busybox").read_bytes())
    archive.add("bin/sh", cpio.LINK, b"busybox")
    names = kernel.load_order(folder / "modules")
    for name in names:
        content = (folder / "modules" / f"{name}.ko").read_bytes()
        archive.add(f"modules/{name}.ko", cpio.FILE, content)
    for path, text in _FILES.items():
        archive.add(path, cpio.FILE, text.encode())
    archive.add(_POWER_BUTTON, cpio.PROGRAM, _BUTTON.encode())
    archive.add("init", cpio.PROGRAM, _INIT.format(modules=" ".join(names)).encode())
    return gzip.compress(archive.finish(), 9, mtime=0)
