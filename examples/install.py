"""Walk through Debian's graphical installer to its third screen, and write a report of it.

python examples/install.py KERNEL INITRD [REPORT]

KERNEL and INITRD are those of Debian's package debian-installer-12-netboot-amd64, from its folder
gtk; tools/guests/installer.py fetches them and prints where they are. REPORT is an HTML file
(install.html). Texts say where the installer is; its button, found by its picture, is clicked.
"""

import sys

import kju
from kju.vision import Needle

BOOT = 300  # seconds; it takes 40 where nothing else runs


def walk(machine: kju.Machine) -> None:
    """Language, location, keyboard."""
    screen, pointer = machine.screen, machine.pointer
    screen.wait_text("Select a language", timeout=BOOT)
    screen.wait_stable(1, timeout=60)
    words = screen.wait_text("Continue", timeout=60).rect
    button = Needle.cut(screen.frame(), words)

    def go_on(title: str) -> None:
        pointer.click(*screen.wait_image(button, timeout=60).click)
        screen.wait_text(title, timeout=60)
        pointer.move(0, 0)  # the guest draws it, and it would lie on the button
        screen.wait_stable(1, timeout=60)

    go_on("Select your location")
    machine.keyboard.type("Ir")  # the list looks for what is typed
    screen.wait_stable(1, timeout=60)
    go_on("Configure the keyboard")


def main() -> None:
    """The command line."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    kernel, initrd, *rest = sys.argv[1:]
    report = rest[0] if rest else "install.html"
    args = ["-kernel", kernel, "-initrd", initrd, "-append", "quiet vga=0x344 ---"]
    with (
        kju.launch(name="install", memory="1536M", args=args) as machine,
        kju.report.recording(machine, report, title="Debian's installer to its third screen"),
    ):
        walk(machine)
        print(machine.screen.read_text())
    print(f"the report: {report}")


if __name__ == "__main__":
    main()
