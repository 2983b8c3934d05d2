"""Environments of real guests: GRUB's menu, which is still, and a game, which is not."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium")

from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv
from support import guests
from support.wait import HANG, until

import kju
from kju.errors import KjuError
from kju.gym import (
    ChordActions,
    Env,
    ForkReset,
    Free,
    Lockstep,
    RevertReset,
    Settled,
    VectorEnv,
)

pytestmark = [pytest.mark.qemu, pytest.mark.usefixtures("shared_runtime_folder")]

MENU = ChordActions("", "down", "up", hold=False)
DOWN, UP = 1, 2
SETTLED = Settled(first=5.0, still=0.4, limit=60)
#: For steps that the guest answers, however late.
ANSWERED = Settled(first=HANG, still=0.4, limit=HANG)


@contextlib.contextmanager
def menu(name: str, folder: Path) -> Iterator[kju.Machine]:
    """Boot GRUB's menu from a disk with a snapshot ``menu``."""
    image = re.search(r"file=(.*)", guests.grub()[-1])
    assert image
    disk = folder / f"{name}.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", image[1], str(disk)], check=True)
    with kju.launch(str(disk), name=name, memory="64M") as machine:
        machine.screen.wait_for(lambda frame: frame[..., :3].any(), timeout=HANG)
        machine.screen.wait_stable(3, timeout=HANG)
        machine.snapshots.save("menu")
        yield machine


@pytest.fixture(scope="module")
def menus(
    shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[kju.Machine]]:
    folder = tmp_path_factory.mktemp("menus")
    with menu("menu0", folder) as first, menu("menu1", folder) as second:
        yield [first, second]


@pytest.mark.filterwarnings("ignore:.*Not able to test alternative render modes")
@pytest.mark.parametrize("observation", ["rgb", "grey", "tiles"])
def test_checker_of_gymnasium_passes(menus: list[kju.Machine], observation: str) -> None:
    with Env("menu0", actions=MENU, reset="menu", stepping=SETTLED, observation=observation) as env:
        check_env(env)


def test_reset_returns_to_the_snapshot_in_every_stepping(menus: list[kju.Machine]) -> None:
    first = None
    for stepping in (SETTLED, Lockstep(0.2), Free(0.01)):
        with Env("menu0", actions=MENU, reset="menu", stepping=stepping) as env:
            seen, _ = env.reset()
            first = seen if first is None else first
            np.testing.assert_array_equal(seen, first)
            env.step(DOWN)
            until(lambda: not np.array_equal(env.step(0)[0], first), "the bar has moved")  # noqa: B023
            np.testing.assert_array_equal(env.reset()[0], first)


def test_reset_by_forks_and_by_a_revert(shared_runtime_folder: None, tmp_path: Path) -> None:
    # A machine of its own: one that was frozen has the snapshots of its new disks only.
    with menu("forked", tmp_path) as machine, machine.freeze("begin") as base:
        resets = {"fork": ForkReset(base), "revert": RevertReset()}
        for name, reset in resets.items():
            with Env(base.fork, actions=MENU, reset=reset, stepping=ANSWERED) as env:
                first, _ = env.reset()
                before = env.machine
                for _ in range(2):
                    moved = env.step(DOWN)[0]
                    assert not np.array_equal(moved, first)
                    np.testing.assert_array_equal(env.reset()[0], first)
                assert (env.machine is before) is (name == "revert")
        with VectorEnv(
            [base.fork] * 2, actions=MENU, reset=ForkReset(base), stepping=Lockstep(0.05)
        ) as envs:
            seen, _ = envs.reset()
            np.testing.assert_array_equal(seen, [first, first])


def test_vector_environment_equals_gymnasium_over_the_same_machines(
    menus: list[kju.Machine],
) -> None:
    options = {"actions": MENU, "reset": "menu", "stepping": SETTLED, "max_steps": 2}
    plan = [[DOWN, 0], [DOWN, DOWN], [0, 0], [UP, DOWN]]

    def run(envs: VectorEnv | AsyncVectorEnv) -> list[np.ndarray]:
        try:
            return [envs.reset()[0], *(envs.step(np.array(actions))[0] for actions in plan)]
        finally:
            envs.close()

    names = ["menu0", "menu1"]
    ours = run(VectorEnv(names, **options))
    theirs = run(AsyncVectorEnv([lambda name=name: Env(name, **options) for name in names]))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_machine_that_ends_during_a_step_is_an_error_with_a_way_out() -> None:
    def start() -> kju.Machine:
        return kju.launch(args=guests.invaders(), name="short")

    with Env(start, actions=ChordActions("", "left"), stepping=Lockstep(0.05)) as env:
        env.reset()
        env.step(1)
        with kju.attach("short") as other:
            other.stop()
        with pytest.raises(KjuError, match=r"reset\(\) starts it again|closed"):
            for _ in range(3):
                env.step(0)
        env.reset()
        env.step(1)
