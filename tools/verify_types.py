"""Check that every public name of kju has a known type, with pyright.

python tools/verify_types.py [PACKAGE_FOLDER]

The public names are those of the modules in `PUBLIC`, with all types that they refer to: pyright
calls a name unknown if a part of its type is. Pyright and its Node.js come from PyPI
(``pyright[nodejs]``); nothing is downloaded here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

#: Modules that programs import, and the folders that their names come from.
PUBLIC = (
    "kju",
    "kju.aio",
    "kju.client",
    "kju.errors",
    "kju.gym",
    "kju.keys",
    "kju.memory",
    "kju.protocol",
    "kju.report",
    "kju.surface",
    "kju.vision",
)


def measure(source: Path) -> list[dict[str, Any]]:
    """Return pyright's facts of every name of the package in *source*."""
    # Pyright finds the packages of a virtual environment by the first `python` in PATH.
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(source),
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    }
    command = [sys.executable, "-m", "pyright", "--verifytypes", "kju", "--ignoreexternal"]
    done = subprocess.run(
        [*command, "--outputjson"], env=environment, capture_output=True, text=True, check=False
    )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        sys.exit(f"pyright failed with status {done.returncode}: {done.stdout}{done.stderr}")
    return list(report["typeCompleteness"]["symbols"])


def is_public(name: str) -> bool:
    """Check whether a name is one of a public module; those of fleets refer to Ray's types."""
    if name.startswith("kju.aio.fleet."):
        return False
    return name.count(".") == 1 or any(name.startswith(f"{module}.") for module in PUBLIC[1:])


def main() -> int:
    """Print the score and the names that have no known type; 1 if there are any."""
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "src"
    symbols = [s for s in measure(home) if s["isExported"] and is_public(s["name"])]
    if len(symbols) < 500:
        sys.exit(f"pyright found {len(symbols)} public names only in {home}")
    unknown = [s for s in symbols if not s["isTypeKnown"]]
    for symbol in unknown:
        for why in symbol["diagnostics"]:
            line = why.get("range", {}).get("start", {}).get("line", -1) + 1
            print(f"{why.get('file', '')}:{line}: {symbol['name']}: {why['message']}")
    score = 1 - len(unknown) / len(symbols)
    print(f"{score:.1%} of {len(symbols)} public names have a known type")
    return int(bool(unknown))


if __name__ == "__main__":
    sys.exit(main())
