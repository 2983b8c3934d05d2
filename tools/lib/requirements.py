"""Print the requirements of the build, of kju, and of extras named on the command line.

    requirements.py INSTALLED EXTRA...

INSTALLED is the list of an earlier .venv, if one exists. Its further requirements stay in the
list, so that one more extra does not remove another. The first line names the Python.
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def expand(names: Iterable[str], extras: dict[str, list[str]]) -> Iterator[str]:
    """Yield the requirements of extras, those of the extras that they name included."""
    for name in names:
        for word in extras[name]:
            own = re.fullmatch(r"kju\[([\w,]+)\]", word)
            yield from expand(own[1].split(","), extras) if own else [word]


def package(requirement: str) -> str:
    """Return the name at the beginning of a requirement."""
    found = re.match(r"[\w.-]*", requirement)
    return found[0].lower() if found else ""


def main(installed: str, *names: str) -> None:
    """Print the list."""
    whole = tomllib.loads(PROJECT.read_text())
    project = whole["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    wanted = [*whole["build-system"]["requires"], "ninja", *project["dependencies"]]
    wanted = list(dict.fromkeys([*wanted, *expand(names, extras)]))
    heading = f"# Python {sys.version.split()[0]}"
    before = Path(installed).read_text().splitlines() if Path(installed).exists() else []
    if heading in before:
        have = {package(line) for line in wanted}
        wanted += [line for line in before[1:] if package(line) not in have]
    print("\n".join([heading, *sorted(wanted)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
