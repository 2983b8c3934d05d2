"""Programs and nodes with other versions of Ray and Python than the cluster."""

from __future__ import annotations

import functools
import inspect
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from typing import Any

import pytest
from support.ray_cluster import STORE, node_numbers, ray_cluster, ray_folders

ray = pytest.importorskip("ray")

pytestmark = [pytest.mark.timeout(400), pytest.mark.filterwarnings("ignore")]

#: Opens a fleet at the address of its first argument; the second is a version of Ray.
PROGRAM = """
import platform, sys, kju.fleet
if len(sys.argv) > 2:
    import ray
    ray.__version__ = sys.argv[2]
try:
    with kju.fleet.open(sys.argv[1], xvfb=True) as fleet:
        results = fleet.map(lambda machine: platform.python_version(), fleet.launch(1))
        print([version for _, version in results])
except kju.KjuError as error:
    print(type(error).__name__, error)
"""
OURS = f"Ray {ray.__version__} and Python {platform.python_version()}"
#: Lets Ray admit another patch version of Python.
ADMITTING = {"RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ray_folders(tmp_path_factory), ray_cluster(1) as made:
        yield made


@functools.cache
def other_python() -> tuple[str, str]:
    """Return a Python that can import this one's packages, but has another patch version."""
    name = "python{}.{}".format(*sys.version_info)
    ask = "import platform; print(platform.python_version())"
    for folder in os.get_exec_path():
        if path := shutil.which(name, path=folder):
            asked = subprocess.run([path, "-c", ask], capture_output=True, text=True)
            version = asked.stdout.strip()
            if version and version != platform.python_version():
                return path, version
    pytest.skip(f"every {name} of this computer is {platform.python_version()}")


def run_other(code: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the other Python and this one's packages."""
    path, _ = other_python()
    code = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n{code}"
    return subprocess.run(
        [path, "-c", code, *words],
        env=os.environ | variables, capture_output=True, text=True, timeout=200,
    )  # fmt: skip


def refusal(address: str, theirs: str) -> str:
    return (
        f"UnavailableError the Ray cluster at {address} runs {OURS}, and this program {theirs}:"
        " Ray needs the same versions\n"
    )


def test_a_program_with_another_version_of_ray_is_refused(cluster: Any) -> None:
    words = [sys.executable, "-c", PROGRAM, cluster.address, "1.0.0"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200)
    assert done.stdout == refusal(cluster.address, OURS.replace(ray.__version__, "1.0.0"))


def test_a_program_with_another_version_of_python_is_refused(cluster: Any) -> None:
    _, version = other_python()
    done = run_other(PROGRAM, cluster.address)
    theirs = f"Ray {ray.__version__} and Python {version}"
    assert done.stdout == refusal(cluster.address, theirs), done.stderr


def test_a_node_with_another_version_of_python_does_not_join(cluster: Any) -> None:
    before = node_numbers()
    start = "import sys; from ray.scripts.scripts import main; sys.exit(main())"
    done = run_other(
        start, "start", f"--address={cluster.address}", f"--object-store-memory={STORE}", "--block"
    )
    assert done.returncode != 0
    assert node_numbers() == before


def test_another_patch_version_of_python_is_admitted_if_ray_is_told_to(cluster: Any) -> None:
    if next(iter(ADMITTING)) not in inspect.getsource(ray._private.utils):
        pytest.skip(f"Ray {ray.__version__} admits no other version")
    done = run_other(PROGRAM, cluster.address, **ADMITTING)
    # A task runs in the node's Python.
    assert done.stdout == f"{[platform.python_version()]}\n", done.stderr
