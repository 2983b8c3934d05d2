"""The sample guest: a small Linux that asks for a login, on a qcow2 disk that boots by itself.

GRUB loads Debian's kernel from the disk, with busybox in an initramfs. A login is on the screen
(1280x800 if Linux has a driver for the display) and another on the first serial port: root, without
a password. The power button shuts the guest down. The guest writes nothing to the disk, so its
files last until it ends.
"""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..files import check_new, write_output
from . import boot, debian

#: Raise this when the code that writes the disk changes: then users' disks are built again.
_EDITION = 1
MEMORY = "256M"
_DISK, _RECIPE = "linux.qcow2", "linux.recipe"
#: The size of the downloads in bytes; most of it is the kernel package, with every driver.
_DOWNLOAD_SIZE = 80_000_000
_MODULES = (
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
#: No menu and no pause, so that the guest boots quickly. Linux's tests of its own cryptography take
#: an emulated processor 0.7 s.
_GRUB = """\
set root=(hd0,msdos1)
linux /vmlinuz quiet loglevel=0 cryptomgr.notests console=ttyS0,115200 console=tty0
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
# -f: without it, poweroff asks an init program, and there is none.
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


def build(report: Callable[[str], object] = lambda words: None) -> Path:
    """Return the path of the guest's disk; build it first if it is missing.

    All callers share the disk: copy it, or start it with ``-snapshot``.

    Args:
        report: Called with one line of progress for each step of a build.

    Raises:
        GuestError: A Debian archive does not answer, or a program to build with is missing.
        FileError: The cache folder cannot be used, or the disk cannot be written.
    """
    digest = _digest()
    with debian.locked() as home:
        known = home.has(_DISK) and home.has(_RECIPE)
        if not (known and home.read(_RECIPE) == digest):
            with tempfile.TemporaryDirectory(dir=home.path, prefix=".new-") as folder:
                made = _make(Path(folder), report).read_bytes()
            home.write_all({_DISK: (made, 0o600), _RECIPE: (digest, 0o600)})
        return home.path / _DISK


def copy(target: Path, report: Callable[[str], object] = lambda words: None) -> None:
    """Copy the guest's disk to a new file.

    Raises:
        GuestError: The guest cannot be built.
        FileError: The file exists already and is unchanged, or it cannot be written.
    """
    check_new(target)  # before a download of 80 MB
    write_output(target, build(report).read_bytes(), replace=False)


def _digest() -> bytes:
    """Return a digest of everything that determines the disk's contents."""
    parts = (_EDITION, _MODULES, _GRUB, _GRUB_MODULES, _INIT, _FILES, _BUTTON, debian.RELEASE)
    return hashlib.sha256(repr(parts).encode()).hexdigest().encode()


def _make(folder: Path, report: Callable[[str], object]) -> Path:
    report("reading Debian's package lists")
    apt = debian.Apt()
    report(f"downloading a kernel, busybox and GRUB (about {_DOWNLOAD_SIZE // 1_000_000} MB)")
    boot.unpack_kernel(apt, boot.newest_kernel(apt), _MODULES, folder)
    root = boot.unpack_grub(apt, folder)
    report("writing the disk")
    files = {"vmlinuz": (folder / "vmlinuz").read_bytes(), "initrd": _initrd(folder)}
    raw = folder / "linux.raw"
    boot.write_disk(raw, root, modules=_GRUB_MODULES, config=_GRUB, files=files)
    made = folder / "linux.qcow2"
    debian.run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, made)
    return made


def _initrd(folder: Path) -> bytes:
    archive = boot.CpioArchive()
    for name in ("bin", "dev", "proc", "sys", "tmp", "run", "root", "modules"):
        archive.add(name, boot.FOLDER)
    for name in ("etc", "etc/acpi", "etc/acpi/PWRF"):
        archive.add(name, boot.FOLDER)
    archive.add("bin/busybox", boot.PROGRAM, (folder / "busybox").read_bytes())
    archive.add("bin/sh", boot.LINK, b"busybox")
    names = boot.module_order(folder / "modules")
    for name in names:
        content = (folder / "modules" / f"{name}.ko").read_bytes()
        archive.add(f"modules/{name}.ko", boot.FILE, content)
    for path, text in _FILES.items():
        archive.add(path, boot.FILE, text.encode())
    archive.add(_POWER_BUTTON, boot.PROGRAM, _BUTTON.encode())
    archive.add("init", boot.PROGRAM, _INIT.format(modules=" ".join(names)).encode())
    return gzip.compress(archive.finish(), 9, mtime=0)
