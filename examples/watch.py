"""Print a line for each change of a surface, and save its last picture as a PNG.

python examples/watch.py ADDRESS [PNG]

ADDRESS is a path, posix:/NAME or sysv:ID. The program ends with the producer.
"""

import sys

import kju
from kju.errors import ProducerGoneError


def main() -> None:
    """Print the changes of one surface until its producer ends."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    address, *rest = sys.argv[1:]
    with kju.Surface(address) as surface:
        try:
            for change in surface.changes():
                mode = change.mode
                pixels = sum(rect.area for rect in change.rects)
                what = "everything" if change.everything else f"{pixels} pixels"
                print(f"version {change.mark.version}: {mode.width}x{mode.height}, {what}")
        except ProducerGoneError as error:
            print(f"the end: {error}")
        if rest:
            surface.screenshot(rest[0])


if __name__ == "__main__":
    main()
