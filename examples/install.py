"""Walk through Debian's graphical installer to its third screen, and write a report of it.

python examples/install.py KERNEL INITRD [REPORT]

KERNEL and INITRD are from the folder gtk of Debian's package debian-installer-12-netboot-amd64;
tools/guests/installer.py downloads them and prints their paths. REPORT is an HTML file
(install.html). The program recognises each screen by its text and the button by its picture.
"""

import sys

import kju
from kju.vision import Needle

BOOT = 300  # seconds; an idle computer needs 40


def walk(machine: kju.Machine) -> None:
    """Go through the screens for language, location and keyboard."""
    screen, pointer = machine.screen, machine.pointer
    screen.wait_text("Select a language", timeout=BOOT)
    screen.wait_stable(1, timeout=60)
    words = screen.wait_text("Continue", timeout=60).rect
    button = Needle.cut(screen.frame(), words)

    def go_on(title: str) -> None:
        pointer.click(*screen.wait_image(button, timeout=60).click)
        screen.wait_text(title, timeout=60)
        pointer.move(0, 0)  # the guest draws the pointer, which would cover the button
        screen.wait_stable(1, timeout=60)

    go_on("Select your location")
    machine.keyboard.type("Ir")  # the list searches for typed letters
    screen.wait_stable(1, timeout=60)
    go_on("Configure the keyboard")


def main() -> None:
    """Run the command line."""
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
