"""python -m benchmarks [GROUP ...] measures and reports; --help has the options."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from .measure import Curve, Figure, tell_to
from .plots import write_plots

#: Groups that compare no guests with a peer, and groups that do; `peers` means the second.
ALONE = ("surface", "wake", "start", "host", "xvfb", "typing", "forks", "lockstep", "pages",
         "fleet_simulation", "fleet_presence", "fleet_wall", "fleet",
         "fleet_kills")  # fmt: skip
PEERS = (
    "keys", "screens", "cpu", "growth", "wire", "far", "animated", "stopped", "audience", "wall",
    "window", "gym", "mcp", "browser", "browser_motion", "browser_wall", "browser_link",
    "browser_selkies",
    "browser_decoder",
)  # fmt: skip


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
        "| what | measured | target | peer | |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {f.name} | {f.value:.2f} {f.unit} | {f.target} | {f.peer} | "
        f"{' '.join(part for part in (verdict(f), f.detail) if part)} |"
        for f in figures
    ]
    return "\n".join(lines) + "\n"


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("group", nargs="*", help=", ".join([*ALONE, *PEERS, "peers"]))
    parser.add_argument("--presses", type=int, help="keys in each regime (300)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--plots", type=Path, help="a folder for SVG files")
    return parser.parse_args()


def take(group: str) -> Iterator[Figure | Curve]:
    with tempfile.TemporaryDirectory(prefix="kju-bench-", dir="/dev/shm") as folder:
        yield from import_module(f"benchmarks.{group}").figures(folder)


def run(groups: list[str], show: Progress) -> tuple[list[Figure], list[Curve]]:
    """Measure; print each figure above the bar as soon as it is known."""
    figures: list[Figure] = []
    curves: list[Curve] = []
    task = show.add_task("")
    tell_to(lambda what, done, of: show.update(task, description=what, completed=done, total=of))
    for number, group in enumerate(groups, 1):
        show.console.print(f"[{number}/{len(groups)}] {group}", markup=False)
        show.update(task, description=group, completed=0, total=None)
        for taken in take(group):
            if isinstance(taken, Curve):
                curves.append(taken)
                continue
            figures.append(taken)
            target = f"({taken.target})" if taken.target else ""
            show.console.print(
                f"  {taken.name}: {taken.value:.2f} {taken.unit} {target} {verdict(taken)}"
                f"  {taken.detail}",
                markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip
    return figures, curves


def summary(figures: Iterable[Figure]) -> Table:
    """Return the table of all figures."""
    table = Table("what", "measured", "target", "")
    for f in figures:
        style = "red" if f.reached is False else None
        table.add_row(f.name, f"{f.value:.2f} {f.unit}", f.target, verdict(f), style=style)
    return table


def main() -> int:
    arguments = asked()
    if arguments.presses:
        os.environ["KJU_BENCH_PRESSES"] = str(arguments.presses)
    groups = [
        one
        for group in arguments.group or (*ALONE, *PEERS)
        for one in (PEERS if group == "peers" else (group,))
    ]
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(),
               TimeElapsedColumn())  # fmt: skip
    print(machine())
    with Progress(*columns, transient=True) as show:
        figures, curves = run(groups, show)
        show.console.print(summary(figures))
    if arguments.json:
        report = {
            "machine": machine(),
            "figures": [asdict(f) | {"reached": f.reached} for f in figures],
            "curves": [asdict(c) for c in curves],
        }
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(markdown(figures))
    if arguments.plots:
        write_plots(curves, arguments.plots)
    return 0


if __name__ == "__main__":
    sys.exit(main())
