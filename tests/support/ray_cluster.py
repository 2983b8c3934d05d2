"""A Ray cluster of nodes on this computer, for tests of fleets. It needs Ray."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import kju

from . import xservers

STORE = 80_000_000
#: Ray gives a node 30 seconds to start, which a busy computer may not have for it.
ATTEMPTS = 3


@contextlib.contextmanager
def ray_folders(factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use empty folders of kju and of Ray."""
    xservers.need()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
            folder = factory.mktemp(name)
            folder.chmod(0o700)
            patch.setenv(name, str(folder))
        # The processes of a node have the folder in which the node was started.
        patch.chdir(factory.mktemp("here"))
        # The workers import the kju that is tested, and the functions of the tests.
        paths = (Path(kju.__file__).parents[1], Path(__file__).parents[1])
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray's usual folder names the user's cluster of this computer. Sockets need short paths.
        with tempfile.TemporaryDirectory(
            prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
        ) as made:
            patch.setenv("RAY_TMPDIR", made)
            yield


@contextlib.contextmanager
def ray_cluster(nodes: int = 2, *, connect: bool = True) -> Iterator[Any]:
    """Start a cluster, and connect to it."""
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=False)
    try:
        for _ in range(nodes):
            add_node(made)
        if connect:
            ray.init(made.address, namespace="kju", log_to_driver=False)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def add_node(cluster: Any) -> Any:
    """Add a node to a cluster."""
    attempt = 1
    while True:
        try:
            # One processor: Ray starts a worker for each, before it is needed.
            return cluster.add_node(
                num_cpus=1, memory=2 << 30, object_store_memory=STORE,
                include_dashboard=False, include_log_monitor=False,
            )  # fmt: skip
        except Exception as error:
            if "timed out during startup" not in str(error) or attempt == ATTEMPTS:
                raise
            attempt += 1


def node_numbers() -> set[str]:
    """Return the ends of the names of all nodes."""
    import ray

    return {node["NodeID"][:6] for node in ray.nodes() if node["Alive"]}


def by_value(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a test that Ray sends by value: workers do not have its module."""
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[function.__module__])
    return function
