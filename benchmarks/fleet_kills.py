"""The machines that random kills leave behind in a cluster: a fleet's, and plain actors'."""

from __future__ import annotations

from collections.abc import Iterator

from .fleet.kills import killed
from .measure import Figure, amount, progress


def figures(folder: str) -> Iterator[Figure]:
    count, seed = int(amount("KILLS", 200)), int(amount("SEED", 1))
    for kind, what, limit in (
        ("plain", "QEMUs left behind, plain subprocess in an actor", None),
        ("fleet", "processes and files of machines left behind, kju.fleet", 0),
    ):
        done = 0

        def tell(line: str, kind: str = kind) -> None:
            nonlocal done
            done += line.startswith("kill ")
            progress(f"{kind}: {line}", done, count)

        found = killed(kind, count, seed, tell)
        ended = f", all ended within {found.longest:.0f} s" if found.longest else ""
        yield Figure(
            "fleet_kills", f"{what}, of {found.kills.total()} kills", len(found.left), "", limit,
            "plain subprocess in an actor" if limit == 0 else "",
            f"{found.machines} machines{ended}; "
            + ", ".join(f"{name} {number}" for name, number in sorted(found.kills.items())),
        )  # fmt: skip
