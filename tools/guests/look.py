#!/usr/bin/env python3
"""Boot a guest without a window, wait until it is ready and write its screen as a PNG.

tools/guests/look.py paint mode=box size=1024x768 -o box.png -- -device bochs-display
tools/guests/look.py invaders --after 6 -o invaders.png
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import linux

from kju.guests import debian

COMMAND_LINE = "console=ttyS0 quiet vt.global_cursor_default=0 iomem=relaxed"


def arguments(guest: str, options: list[str], extra: list[str]) -> list[str]:
    """Return QEMU's arguments for one guest. TCG, because a KVM that opens may still hang."""
    common = ["-accel", "tcg", "-nodefaults", "-no-user-config", "-net", "none"]
    if guest == "paint":
        parts = linux.build()
        words = " ".join([COMMAND_LINE, *(f"kju.{option}" for option in options)])
        boot = ["-kernel", str(parts.kernel), "-initrd", str(parts.initramfs), "-append", words]
        boot += ["-m", "256", *([] if extra else ["-device", "virtio-vga"])]
    elif guest == "invaders":
        boot = ["-kernel", "/boot/invaders.exec", "-m", "64", "-device", "VGA"]
    else:
        boot = ["-cdrom", "/usr/lib/memtest86+/memtest86+x64.iso", "-m", "64", "-device", "VGA"]
    return [*common, *boot, *extra]


def connect(path: Path, qemu: subprocess.Popen[bytes]) -> socket.socket:
    """Connect to a socket that QEMU is about to make."""
    while qemu.poll() is None:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(str(path))
        except OSError:
            link.close()
            time.sleep(0.02)
        else:
            return link
    raise SystemExit("QEMU ended before it began")


def command(link: socket.socket, execute: str, **arguments: Any) -> None:  # noqa: ANN401 -- JSON
    """Send one QMP command and read its answer."""
    link.sendall(json.dumps({"execute": execute, "arguments": arguments}).encode() + b"\n")
    answer = b""
    while b'"return"' not in answer:
        answer += link.recv(65536)
        if b'"error"' in answer or not answer:
            raise SystemExit(answer.decode())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("guest", choices=["paint", "invaders", "memtest"])
    parser.add_argument("options", nargs="*", help="for paint: mode=box size=800x600 ...")
    parser.add_argument("-o", "--output", type=Path, default=Path("guest.png"))
    parser.add_argument("--after", type=float, default=0, help="seconds to wait before the picture")
    parser.add_argument("--qemu", default=shutil.which("qemu-system-x86_64"))
    parser.add_argument("--say", action="append", default=[], help="a line for paint to obey")
    own = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    extra = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    asked = parser.parse_args(own)
    try:
        words = arguments(asked.guest, asked.options, extra)
    except debian.GuestError as error:
        raise SystemExit(str(error)) from error
    with tempfile.TemporaryDirectory() as folder:
        look(asked, words, Path(folder))


def listen(serial: socket.socket, ready: threading.Event) -> None:
    """Print the guest's serial output, with the time since the start."""
    started = time.monotonic()
    for line in serial.makefile(encoding="utf-8", errors="replace", newline="\n"):
        print(f"{time.monotonic() - started:6.2f} {line.strip()}")
        if "kju: ready" in line:
            ready.set()
    ready.set()


def look(asked: argparse.Namespace, words: list[str], folder: Path) -> None:
    """Run QEMU until the picture is written."""
    sockets = {name: folder / name for name in ("qmp", "serial")}
    wait = "on" if asked.guest == "paint" else "off"
    qemu = subprocess.Popen(
        [
            asked.qemu, *words, "-display", "none",
            "-qmp", f"unix:{sockets['qmp']},server=on,wait=off",
            "-serial", f"unix:{sockets['serial']},server=on,wait={wait}",
        ]
    )  # fmt: skip
    try:
        serial = connect(sockets["serial"], qemu)
        ready = threading.Event()
        # Read to the end: a guest stops when its serial line is full.
        threading.Thread(target=listen, args=(serial, ready), daemon=True).start()
        if asked.guest == "paint":
            ready.wait(60)
        for line in asked.say:
            serial.sendall(line.encode() + b"\n")
        time.sleep(asked.after)
        qmp = connect(sockets["qmp"], qemu)
        command(qmp, "qmp_capabilities")
        command(qmp, "screendump", filename=str(asked.output.resolve()), format="png")
    finally:
        qemu.kill()
        qemu.wait()


if __name__ == "__main__":
    main()
