"""Commands of kju that run one after the other in one process.

Run as a program it reads a JSON list of words from each line of its input, runs that command line,
and prints a JSON list: the exit code, and what it has written to stdout and stderr.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from typing import Self


class CommandLoop:
    """A process that runs commands: what they import, and their connections, are made once."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run a command; return its exit code, and what it has written to stdout and stderr."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(words), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"the process has ended during {words}: {self._process.wait()}"
        code, output, errors = json.loads(line)
        return code, output, errors

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()


def main() -> None:
    """Run the commands of stdin."""
    from kju.cli.app import run

    # Ray's own messages, of a thread, go to stdout too.
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = int(run(json.loads(line)))
        print(json.dumps([code, output.getvalue(), errors.getvalue()]), file=answers, flush=True)


if __name__ == "__main__":
    main()
