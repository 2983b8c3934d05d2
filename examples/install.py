"""Walk through Debian's graphical installer to its third screen, and write a report of it.

python examples/install.py KERNEL INITRD [REPORT]

KERNEL and INITRD are from the folder gtk of Debian's package debian-installer-12-netboot-amd64;
tools/guests/installer.py downloads them and prints their paths. REPORT is an HTML file
(install.html). The program recognises each screen by its text and the button by its picture.
"""

import sys

import kju
from kju.vision import Needle

LIMIT = 300  # seconds for one screen; an idle computer boots in 40


def walk(machine: kju.Machine) -> None:
    """Go through the screens for language, location and keyboard."""
    screen = machine.screen
    screen.wait_text("Select a language", timeout=LIMIT)
    screen.wait_stable(1, timeout=LIMIT)
    words = screen.wait_text("Continue", timeout=LIMIT).rect
    button = Needle.cut(screen.frame(), words)
    screen.image(button).click(timeout=LIMIT)
    screen.wait_text("Select your location", timeout=LIMIT)
    # The list searches for typed letters, and Enter takes the row. A click on the button would only
    # end the search, which lasts for some seconds.
    machine.keyboard.type("Ir\n")
    screen.wait_text("Configure the keyboard", timeout=LIMIT)
    # The title is drawn before the list.
    screen.wait_stable(1, timeout=LIMIT)


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
