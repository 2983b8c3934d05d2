"""A vector environment: the same results as Gymnasium's over single environments."""

from __future__ import annotations

import threading
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support.gym_host import HEIGHT, WIDTH, GymMachine

import kju
from kju.errors import UsageError
from kju.gym import ChordActions, Env, Free, Lockstep, VectorEnv

ARROWS = ChordActions("", "left", "right")
NAMES = ("gym0", "gym1", "gym2")


def place(pixels: np.ndarray) -> int:
    return int(np.flatnonzero(pixels[0, :, 0])[0]) // 32


def options(**more: Any) -> dict[str, Any]:
    return {
        "actions": ARROWS,
        "reset": "clean",
        "reward": lambda moment: place(moment.frame),
        "ended": lambda moment: place(moment.frame) == 2,
        "max_steps": 5,
        **more,
    }


def equal(ours: Any, theirs: Any) -> None:
    """Compare observations, arrays or infos."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            equal(ours[key], value)
    elif isinstance(theirs, np.ndarray) and theirs.dtype == object:
        for mine, other in zip(ours, theirs, strict=True):
            equal(mine, other)
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("observation", ["rgb", "tiles"])
@pytest.mark.parametrize("stepping", [Free(), Lockstep(0.01)])
@pytest.mark.parametrize("mode", AutoresetMode)
def test_results_are_those_of_gymnasium(
    guests: list[GymMachine], mode: AutoresetMode, stepping: Any, observation: Any
) -> None:
    shared = options(stepping=stepping, observation=observation)
    plan = np.random.default_rng(5).choice([0, 0, 1, 2, 2, 2], (24, 3))

    def run(envs: Any) -> list[Any]:
        results: list[Any] = [envs.reset(seed=3)]
        over = np.zeros(3, np.bool_)
        for actions in plan:
            if mode is AutoresetMode.DISABLED and over.any():
                results.append(envs.reset(options={"reset_mask": over}))
            results.append(envs.step(actions))
            over = results[-1][2] | results[-1][3]
        envs.close()
        return results

    theirs = run(SyncVectorEnv([lambda name=name: Env(name, **shared) for name in NAMES],
                               autoreset_mode=mode))  # fmt: skip
    ours = run(VectorEnv(NAMES, autoreset_mode=mode, **shared))
    assert any(result[2].any() for result in ours if len(result) == 5), "episodes end"
    for mine, other in zip(ours, theirs, strict=True):
        for one, two in zip(mine, other, strict=True):
            equal(one, two)


def test_spaces_are_batches(guests: list[GymMachine]) -> None:
    envs = VectorEnv(NAMES, **options())
    assert envs.num_envs == 3
    assert envs.observation_space.shape == (3, HEIGHT, WIDTH, 3)
    observations, _ = envs.reset()
    assert observations in envs.observation_space
    assert envs.step(envs.action_space.sample())[0] in envs.observation_space
    assert [frame.shape for frame in envs.render()] == [(HEIGHT, WIDTH, 3)] * 3
    envs.close()
    envs.close()
    assert [guest.down for guest in guests] == [[], [], []]


def test_frames_are_copied_into_one_array(guests: list[GymMachine]) -> None:
    envs = VectorEnv(NAMES, copy=False, **options())
    first, _ = envs.reset()
    again = envs.step([0, 2, 0])[0]
    assert again is first and first.base is None
    assert [place(each) for each in first] == [0, 1, 0]
    envs.close()


def test_copies_stay_as_they_are(guests: list[GymMachine]) -> None:
    envs = VectorEnv(NAMES, **options())
    first, _ = envs.reset()
    envs.step([2, 2, 2])
    assert [place(each) for each in first] == [0, 0, 0]
    envs.close()


def test_ended_episode_needs_a_reset_if_none_is_automatic(guests: list[GymMachine]) -> None:
    envs = VectorEnv(NAMES, autoreset_mode="Disabled", **options(max_steps=1))
    with pytest.raises(ResetNeeded):
        envs.step([0, 0, 0])
    envs.reset()
    envs.step([0, 0, 0])
    with pytest.raises(ResetNeeded):
        envs.step([0, 0, 0])
    with pytest.raises(UsageError, match="reset_mask"):
        envs.reset(options={"reset_mask": np.zeros(3, np.bool_)})
    envs.reset(options={"reset_mask": np.ones(3, np.bool_)})
    envs.step([0, 0, 0])
    envs.close()


@pytest.mark.parametrize("mode", AutoresetMode)
def test_step_before_reset_says_so(guests: list[GymMachine], mode: AutoresetMode) -> None:
    envs = VectorEnv(NAMES, autoreset_mode=mode, **options())
    with pytest.raises(ResetNeeded, match="reset"):
        envs.step([0, 0, 0])
    assert [guest.loads for guest in guests] == [[], [], []]
    envs.reset()
    envs.step([0, 0, 0])
    envs.close()


def test_closed_environment_says_so(guests: list[GymMachine]) -> None:
    envs = VectorEnv(NAMES, **options(stepping=Lockstep(0.01)))
    envs.reset()
    envs.close()
    with pytest.raises(ClosedEnvironmentError, match="make another"):
        envs.step([0, 0, 0])
    with pytest.raises(ClosedEnvironmentError, match="make another"):
        envs.reset()


def test_invalid_action_of_one_machine_sends_nothing_to_any(guests: list[GymMachine]) -> None:
    envs = VectorEnv(NAMES, **options())
    envs.reset()
    with pytest.raises(UsageError, match="nothing was sent"):
        envs.step([2, 2, 7])
    assert [guest.log for guest in guests] == [[], [], []]
    envs.close()


class Counting(Free):
    """Counts its steps, as `Free` keeps the time of the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def step(self, screen: kju.Screen, inputs: Any) -> dict[str, Any]:
        self.steps += 1
        return super().step(screen, inputs) | {"step": self.steps}


def test_each_machine_has_a_stepping_of_its_own(guests: list[GymMachine]) -> None:
    envs = VectorEnv(NAMES, **options(stepping=Counting()))
    envs.reset()
    for number in (1, 2):
        assert envs.step([0, 0, 0])[4]["step"].tolist() == [number] * 3
    envs.close()


def test_machine_that_fails_does_not_hide_the_end_of_another_episode(
    guests: list[GymMachine],
) -> None:
    envs = VectorEnv(NAMES, **options(ended=lambda moment: place(moment.frame) == 1))
    envs.reset()
    envs.step([0, 0, 0])
    guests[2].paused = True
    with pytest.raises(kju.errors.InputError):
        envs.step([2, 0, 2])
    guests[2].paused = False
    observations = envs.step([0, 0, 0])[0]
    assert place(observations[0]) == 0 and guests[0].loads == ["clean"] * 2
    envs.close()


def test_screens_of_different_sizes_need_a_size(guests: list[GymMachine]) -> None:
    guests[1].show_mode(64, 48)
    with pytest.raises(UsageError, match="size="):
        VectorEnv(NAMES, **options())
    envs = VectorEnv(NAMES, size=(64, 48), **options())
    assert envs.reset()[0].shape == (3, 48, 64, 3)
    envs.close()


def test_missing_machine_closes_the_others(guests: list[GymMachine]) -> None:
    with pytest.raises(kju.errors.MachineNotFoundError):
        VectorEnv([*NAMES, "nobody"], **options())
    with pytest.raises(UsageError, match="at least one machine"):
        VectorEnv([], **options())
    with pytest.raises(UsageError, match="autoreset_mode must be one of"):
        VectorEnv(NAMES, autoreset_mode="never", **options())


def test_wrong_number_of_actions_is_refused(guests: list[GymMachine]) -> None:
    envs = VectorEnv(NAMES, **options())
    envs.reset()
    with pytest.raises(UsageError, match="2 actions for 3 machines"):
        envs.step([0, 0])
    envs.close()


class Threaded(Lockstep):
    """Notes the thread of each step; each machine is in the step until all threads are."""

    def __init__(self, threads: int) -> None:
        super().__init__(0.01)
        self.barrier = threading.Barrier(threads)
        self.seen: set[int] = set()

    def step(self, screen: kju.Screen, inputs: Any) -> dict[str, Any]:
        self.seen.add(threading.get_ident())
        self.barrier.wait(timeout=60)
        return super().step(screen, inputs)


@pytest.mark.parametrize(("at_once", "processors", "threads"), [
    (None, 1, 1), (None, 8, 3), (1, 8, 1), (3, 1, 3),
])  # fmt: skip
def test_lockstep_runs_as_many_guests_at_once_as_there_are_processors(
    guests: list[GymMachine], monkeypatch: pytest.MonkeyPatch, at_once: Any, processors: int,
    threads: int,
) -> None:  # fmt: skip
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(processors)))
    stepping = Threaded(threads)
    envs = VectorEnv(NAMES, at_once=at_once, **options(stepping=stepping))
    envs.reset()
    envs.step([0, 2, 2])
    assert len(stepping.seen) == threads
    envs.close()


def test_machines_at_once_are_at_least_one(guests: list[GymMachine]) -> None:
    with pytest.raises(UsageError, match="at_once is a number of machines"):
        VectorEnv(NAMES, at_once=0, **options())


def test_registered_vector_environment_is_made_by_name(guests: list[GymMachine]) -> None:
    names = iter(NAMES)
    with gymnasium.make_vec(
        "kju/Machine-v0", num_envs=3, machine=lambda: kju.attach(next(names)), **options()
    ) as envs:
        assert isinstance(envs.unwrapped, VectorEnv)
        assert envs.reset()[0].shape == (3, HEIGHT, WIDTH, 3)
    with pytest.raises(UsageError, match=r"give a function .* machine=base\.fork"):
        gymnasium.make_vec("kju/Machine-v0", num_envs=2, machine="gym0", **options())
