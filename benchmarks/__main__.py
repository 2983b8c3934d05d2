"""python -m benchmarks [GROUP ...] [--json FILE] [--markdown FILE]"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from .measure import Figure

GROUPS = ("surface", "wake", "start", "host")


def machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = len([1 for p in Path("/sys/devices/system/cpu").glob("cpu[0-9]*")])
    return f"{model}, {cores} cores, Linux {platform.release()}, Python {platform.python_version()}"


def verdict(figure: Figure) -> str:
    return {None: "", True: "reached", False: "MISSED"}[figure.reached]


def markdown(figures: Iterable[Figure]) -> str:
    lines = [
        f"Measured on: {machine()}.",
        "",
        "| what | measured | at most | peer | |",
        "|---|---|---|---|---|",
    ]
    for f in figures:
        limit = "" if f.limit is None else f"{f.limit:g} {f.unit}"
        lines.append(
            f"| {f.name} | {f.value:.2f} {f.unit} | {limit} | {f.peer} | "
            f"{' '.join(part for part in (verdict(f), f.detail) if part)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("group", nargs="*", default=GROUPS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    taken: list[Figure] = []
    print(machine())
    for number, group in enumerate(arguments.group, 1):
        print(f"[{number}/{len(arguments.group)}] {group}", flush=True)
        with tempfile.TemporaryDirectory(prefix="kju-bench-", dir="/dev/shm") as folder:
            for figure in import_module(f"benchmarks.{group}").figures(folder):
                taken.append(figure)
                limit = "" if figure.limit is None else f"(at most {figure.limit:g})"
                print(
                    f"  {figure.name}: {figure.value:.2f} {figure.unit} {limit} "
                    f"{verdict(figure)}  {figure.detail}",
                    flush=True,
                )
    if arguments.json:
        report = {"machine": machine(), "figures": [asdict(f) for f in taken]}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(markdown(taken))
    return 0


if __name__ == "__main__":
    sys.exit(main())
