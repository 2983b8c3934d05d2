"""Environments over a fleet of two nodes, with GRUB's menu as the guest."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import guests
from support.ray_cluster import by_value, ray_cluster, ray_folders
from support.wait import HANG, until

import kju
from kju.errors import MachineLostError, UsageError
from kju.store import running

pytest.importorskip("gymnasium")
ray = pytest.importorskip("ray")

from gymnasium.error import ResetNeeded  # noqa: E402

from kju.fleet import FleetMachine  # noqa: E402
from kju.gym import ChordActions, FleetVectorEnv, Moment, Settled, VectorEnv  # noqa: E402

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),
]

MENU = ChordActions("", "down", "up", hold=False)
DOWN, UP = 1, 2
OPTIONS: dict[str, Any] = {
    "actions": MENU,
    "stepping": Settled(first=HANG, still=0.4, limit=HANG),
    "observation": "grey",
    "size": (180, 100),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ray_folders(tmp_path_factory), ray_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def machines(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    image = re.search(r"file=(.*)", guests.grub()[-1])
    assert image
    disk = tmp_path_factory.mktemp("menu") / "menu.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", image[1], str(disk)], check=True)
    with kju.launch(disk, name="saving", memory="64M") as machine:
        machine.screen.wait_for(lambda frame: frame[..., :3].any(), timeout=300)
        machine.screen.wait_stable(3, timeout=300)
        machine.snapshots.save("menu", timeout=120)
    with kju.fleet.open(name="lab", image=disk, memory="64M") as fleet:
        # The second is on the second node, which a test kills.
        found = fleet.launch(2, name="menu", spread=True, max_restarts=1, snapshot="menu")
        head = ray.get_runtime_context().get_node_id()[:6]
        yield sorted(found, key=lambda machine: not machine.node.endswith(head))


def to_menu(machine: kju.Machine) -> kju.Machine:
    """Return to the menu: each start of a machine has the snapshots of its image."""
    machine.snapshots.load("menu", timeout=120)
    return machine


def brightness(moment: Moment) -> float:
    """Return the sum of the observation, and note the process that reads it."""
    import os

    moment.info["process"] = os.getpid()
    return float(moment.observation.sum())


def test_fleet_environment_equals_the_local_one_and_goes_on_without_a_node(
    machines: list[FleetMachine], cluster: Any
) -> None:
    options = OPTIONS | {"reset": by_value(to_menu), "reward": by_value(brightness), "max_steps": 2}
    # The third begins the next episodes. Every key changes the screen.
    plan = [[DOWN, 0], [UP, DOWN], [0, 0], [DOWN, DOWN]]

    def play(envs: Any) -> list[Any]:
        found = [envs.reset()[0], *(envs.step(np.array(actions))[:4] for actions in plan)]
        return [np.concatenate([np.ravel(part) for part in each]) for each in found]

    with FleetVectorEnv(machines, **options) as envs:
        assert envs.observation_space.shape == (2, 100, 180, 1)
        ours = play(envs)
        # Each node has a process of its own, which is not this one.
        _, _, _, truncated, info = envs.step(np.zeros(2, int))
        assert len(set(info["process"])) == 2 and truncated.all()
        assert [screen.shape[2] for screen in envs.render() or ()] == [3, 3]
        with pytest.raises(UsageError, match="nothing was sent"):
            envs.step([7, 7])
    theirs = play(VectorEnv([machine.name for machine in machines], **options))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)

    by_name = options | {"reset": "menu"}
    with FleetVectorEnv(machines, autoreset_mode="Disabled", **by_name) as envs:
        first, _ = envs.reset()
        # One machine is lost: its episode is truncated, and the other one goes on.
        running.kill(machines[0].name)
        seen, reward, ended, truncated, info = envs.step([DOWN, DOWN])
        assert (truncated.tolist(), ended.any(), reward[0]) == ([True, False], False, 0.0)
        np.testing.assert_array_equal(seen[0], first[0])
        assert not np.array_equal(seen[1], first[1])
        process = Path(f"/proc/{info['process'][1]:.0f}/stat")
        assert info["_lost"].tolist() == [True, False] and info["lost"][0]
        with pytest.raises(ResetNeeded, match=r"was lost: call reset\(\)"):
            envs.step([0, 0])
        again, _ = envs.reset(options={"reset_mask": np.array([True, False])})
        np.testing.assert_array_equal(again[0], first[0])
        assert [machine.generation for machine in envs.machines] == [2, 1]

        # A node is lost, and its machine runs on the other one afterwards.
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        # Its process may serve another step before it ends.
        until(lambda: not process.exists() or ") Z " in process.read_text(), "it has ended")
        seen, _, _, truncated, info = envs.step([DOWN, DOWN])
        assert truncated.tolist() == [False, True]
        assert machines[1].node in info["lost"][1]
        again, _ = envs.reset()
        np.testing.assert_array_equal(again, first)
        assert [machine.generation for machine in envs.machines] == [2, 2]
        assert {machine.node for machine in envs.machines} == {machines[0].node}

        # One that may not be started again is an error that says what to do.
        running.kill(machines[1].name)
        assert envs.step([0, 0])[3][1]
        with pytest.raises(MachineLostError, match="does not run again; it is lost"):
            envs.reset()


def test_machines_of_no_fleet_are_refused(machines: list[FleetMachine]) -> None:
    with pytest.raises(UsageError, match="machines of kju"):
        FleetVectorEnv(["menu-1"], **OPTIONS)  # type: ignore[list-item]
    with pytest.raises(UsageError, match="at least one machine"):
        FleetVectorEnv([], **OPTIONS)
