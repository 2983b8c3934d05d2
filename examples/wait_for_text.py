"""Wait for a prompt, type an answer, and print the text of the screen once it is still.

python examples/wait_for_text.py NAME PROMPT ANSWER

NAME is a running machine. If the prompt does not appear, the last line has the text of the screen,
and prompt.png its picture.
"""

import sys

import kju
from kju.vision import ScreenTimeoutError


def main() -> None:
    """Answer one prompt."""
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    name, prompt, answer = sys.argv[1:]
    with kju.attach(name) as machine:
        screen = machine.screen
        try:
            found = screen.wait_text(prompt, timeout=60)
        except ScreenTimeoutError as error:
            error.save("prompt.png")
            raise SystemExit(str(error)) from error
        print(f"{found.text} at {found.rect.x},{found.rect.y}")
        mark = screen.mark
        machine.keyboard.type(answer + "\n")
        screen.wait_change(since=mark, timeout=60)
        screen.wait_stable(1, timeout=60)  # the cursor may blink meanwhile
        print(screen.read_text())


if __name__ == "__main__":
    main()
