"""An environment of one machine: spaces, steps, resets, modes, and wrong use."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils.env_checker import check_env
from support.gym_host import HEIGHT, SIDE, WIDTH, GymMachine
from support.serial_host import SerialMachine, serial_host
from support.wait import until

import kju
from kju.errors import InputError, MachineGoneError, UsageError
from kju.gym import (
    ChordActions,
    Env,
    ForkReset,
    Free,
    HeldKeyActions,
    Lockstep,
    Moment,
    PointerActions,
    RebootReset,
    Settled,
    SnapshotReset,
    TextActions,
    UntilChanged,
)
from kju.surface import State

ARROWS = ChordActions("", "left", "right")
LEFT, RIGHT = 1, 2


class SerialGym(SerialMachine, GymMachine):
    """The machine with a serial port."""


def make(**options: Any) -> Env:
    return Env("gym", **{"actions": ARROWS, "reset": "clean", **options})


def place(observation: Any) -> int:
    """Return the tile of the box."""
    pixels = observation["frame"] if isinstance(observation, dict) else observation
    columns = np.flatnonzero(pixels[0, :, 0])
    return int(columns[0]) * (WIDTH // SIDE) // pixels.shape[1]


@pytest.fixture
def env(guest: GymMachine) -> Iterator[Env]:
    with make() as made:
        yield made


# ---- Spaces and the checker


@pytest.mark.filterwarnings("ignore:.*Not able to test alternative render modes")
@pytest.mark.parametrize("stepping", [
    Free(), Settled(first=0.2, still=0.05), Lockstep(0.01), UntilChanged(0.02, slice_seconds=0.01),
])  # fmt: skip
@pytest.mark.parametrize("observation", ["rgb", "grey", "tiles"])
def test_checker_of_gymnasium_passes(guest: GymMachine, stepping: Any, observation: Any) -> None:
    with make(stepping=stepping, observation=observation) as env:
        check_env(env)


@pytest.mark.parametrize("actions", [HeldKeyActions("a"), TextActions(5), PointerActions()])
@pytest.mark.filterwarnings("ignore:.*Not able to test alternative render modes")
def test_checker_passes_with_every_kind_of_actions(guest: GymMachine, actions: Any) -> None:
    with make(actions=actions) as env:
        check_env(env)


def test_registered_environment_is_made_by_name(guest: GymMachine) -> None:
    with gymnasium.make("kju/Machine-v0", machine="gym", actions=ARROWS) as env:
        observation, _ = env.reset(seed=1)
        assert observation in env.observation_space
        assert env.render().shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(("observation", "shape"), [
    ("rgb", (HEIGHT, WIDTH, 3)), ("grey", (HEIGHT, WIDTH, 1)),
])  # fmt: skip
def test_observation_is_the_screen(guest: GymMachine, observation: Any, shape: Any) -> None:
    with make(observation=observation) as env:
        seen, _ = env.reset()
        assert seen.shape == shape
        pixels = env.machine.screen.frame(pixels=observation)
        np.testing.assert_array_equal(seen, pixels.reshape(shape))
        assert place(env.step(RIGHT)[0]) == 1
        assert place(seen) == 0, "an old observation stays as it is"


def test_tiles_mark_just_what_has_changed(guest: GymMachine) -> None:
    with make(observation="tiles") as env:
        seen, _ = env.reset()
        assert seen["changed"].all()
        seen = env.step(0)[0]
        assert not seen["changed"].any()
        seen = env.step(RIGHT)[0]
        assert {tuple(map(int, t)) for t in np.argwhere(seen["changed"])} == {(0, 0), (0, 1)}
        np.testing.assert_array_equal(seen["frame"], env.machine.screen.frame())


def test_size_scales_the_picture(guest: GymMachine) -> None:
    with make(size=(WIDTH // 2, HEIGHT // 2)) as env:
        seen, info = env.reset()
        assert seen.shape == (HEIGHT // 2, WIDTH // 2, 3)
        assert (info["width"], info["height"], info["mode_change"]) == (WIDTH, HEIGHT, "")
        assert place(env.step(RIGHT)[0]) == 1


# ---- Episodes


def test_reset_loads_the_snapshot_and_releases_keys(guest: GymMachine, env: Env) -> None:
    env.reset()
    assert place(env.step(RIGHT)[0]) == 1
    assert guest.down
    assert place(env.reset()[0]) == 0
    assert guest.loads == ["clean"] * 2
    assert place(env.step(RIGHT)[0]) == 1, "the key is pressed again"


def test_key_stays_down_until_another_action(guest: GymMachine, env: Env) -> None:
    env.reset()
    for _ in range(3):
        env.step(RIGHT)
    assert guest.log.count((guest.down[0], True)) == 1
    env.step(0)
    assert guest.down == []


def test_reward_and_end_are_the_functions_of_the_user(guest: GymMachine) -> None:
    seen: list[Moment] = []

    def reward(moment: Moment) -> float:
        seen.append(moment)
        moment.info["place"] = place(moment.frame)
        return place(moment.frame)

    with make(reward=reward, ended=lambda moment: moment.info["place"] == 2) as env:
        env.reset()
        _, gain, ended, truncated, info = env.step(RIGHT)
        assert (gain, ended, truncated, info["place"]) == (1.0, False, False, 1)
        env.step(0)
        assert env.step(RIGHT)[1:4] == (2.0, True, False)
        assert [moment.steps for moment in seen] == [1, 2, 3]
        with pytest.raises(ResetNeeded):
            env.step(0)


def test_episode_is_truncated_after_its_steps(guest: GymMachine) -> None:
    with make(max_steps=2) as env:
        env.reset()
        assert [env.step(0)[3] for _ in range(2)] == [False, True]


def test_text_of_the_screen_is_read_for_the_functions(guest: GymMachine) -> None:
    guest.producer.set_mode(640, 400)
    guest.show("score 7")
    with Env("gym", actions=ARROWS, reward=lambda m: float(str(m.text).split()[-1])) as env:
        env.reset()
        assert env.step(0)[1] == 7.0


def test_lockstep_runs_the_guest_for_the_time_of_a_step(guest: GymMachine) -> None:
    with make(stepping=Lockstep(0.02)) as env:
        env.reset()
        assert guest.paused and guest.paused_at_load
        assert [place(env.step(RIGHT)[0]) for _ in range(3)] == [1, 2, 3]
        assert guest.steps_run == [20_000] * 3
        assert guest.rates[-1] == 0
    assert not guest.paused and not guest.down


def test_changed_runs_the_guest_in_slices_until_its_screen_changes(guest: GymMachine) -> None:
    with make(stepping=UntilChanged(0.06, slice_seconds=0.02)) as env:
        env.reset()
        assert guest.steps_run == [20_000] * 3, "an episode begins after a change, or the limit"
        seen, _, _, _, info = env.step(RIGHT)
        assert (place(seen), info["changed"], len(guest.steps_run)) == (1, True, 4)
        assert place(env.step(RIGHT)[0]) == 2
        seen, _, _, _, info = env.step(0)
        assert (place(seen), info["changed"], len(guest.steps_run)) == (2, False, 8)
        assert guest.steps_with_keys == [3, 5], "keys are sent in the first slice only"
        assert guest.paused and guest.rates[-1] == 0


def test_settled_steps_report_the_answer(guest: GymMachine) -> None:
    with make(stepping=Settled(first=0.2, still=0.05)) as env:
        env.reset()
        assert env.step(RIGHT)[4]["changed"] is True
        info = env.step(0)[4]
        assert (info["settled"], place(env.step(0)[0])) == (True, 1)


def test_pictures_are_taken_for_steps_only_with_rate_0(guest: GymMachine) -> None:
    with make(stepping=Free(rate=0)) as env:
        env.reset()
        assert place(env.step(RIGHT)[0]) == 1
        assert guest.rates[-1] == 0


def test_machine_of_the_caller_stays_open(guest: GymMachine) -> None:
    with kju.attach("gym") as machine:
        env = Env(machine, actions=ARROWS, reset="clean", stepping=Lockstep(0.01))
        env.reset()
        env.step(RIGHT)
        env.close()
        assert machine.is_alive and not guest.down and not guest.paused
        assert guest.rates[-1] is None


def test_reset_may_return_another_machine(guests: list[GymMachine]) -> None:
    names = itertools.cycle(["gym1", "gym2"])

    class Bases:
        def fork(self) -> kju.Machine:
            return kju.attach(next(names))

    with Env("gym0", actions=ARROWS, reset=ForkReset(Bases())) as env:
        for name in ("gym1", "gym2", "gym1"):
            old = env.machine
            env.reset()
            assert env.machine.name == name
            assert not old.is_alive, "the environment owned it"
            env.step(RIGHT)
    assert [guest.down for guest in guests] == [[], [], []]


def test_machine_of_the_caller_that_was_replaced_runs_on(guests: list[GymMachine]) -> None:
    class Base:
        def fork(self) -> kju.Machine:
            return kju.attach("gym1")

    with (
        kju.attach("gym0") as machine,
        Env(machine, actions=ARROWS, reset=ForkReset(Base()), stepping=Lockstep(0.01)) as env,
    ):
        env.reset()
        assert env.machine.name == "gym1"
        assert machine.is_alive and not guests[0].paused and guests[0].rates[-1] is None


def test_key_is_pressed_again_after_the_machine_has_ended(guests: list[GymMachine]) -> None:
    names = iter(["gym0", "gym1"])
    with Env(lambda: kju.attach(next(names)), actions=ARROWS) as env:
        env.reset()
        env.step(RIGHT)
        env.machine._link.close()
        until(lambda: not env.machine.is_alive)
        env.reset()
        assert place(env.step(RIGHT)[0]) == 1
        assert guests[1].log.count((guests[1].down[0], True)) == 1


def test_guest_that_reads_no_input_is_reset(
    guest: GymMachine, env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.reset()
    env.step(RIGHT)

    def hung(*_: object) -> None:
        raise InputError("the guest does not read its input")

    with monkeypatch.context() as patch:
        patch.setattr("kju.gym.episode.send_one", hung)
        assert place(env.reset()[0]) == 0
    assert place(env.step(RIGHT)[0]) == 1
    env.step(0)
    assert guest.down == []


def test_reboot_waits_until_the_guest_is_ready(guest: GymMachine) -> None:
    seen = []
    with make(reset=RebootReset(seen.append)) as env:
        env.reset()
        assert seen == [env.machine.screen]


# ---- Modes


def test_other_mode_is_scaled_into_the_space(guest: GymMachine, env: Env) -> None:
    env.reset()
    guest.show_mode(WIDTH * 2, HEIGHT)
    seen, _, ended, truncated, info = env.step(0)
    assert seen in env.observation_space
    assert (info["mode_change"], info["width"]) == ("scaled", WIDTH * 2)
    assert not ended and not truncated
    guest.show_mode(WIDTH, HEIGHT)
    assert env.step(0)[4]["mode_change"] == ""


@pytest.mark.parametrize("observation", ["rgb", "tiles"])
def test_other_mode_truncates_the_episode(guest: GymMachine, observation: Any) -> None:
    with make(on_mode_change="truncate", observation=observation) as env:
        last, _ = env.reset()
        guest.show_mode(WIDTH * 2, HEIGHT)
        seen, _, _, truncated, info = env.step(0)
        assert truncated and info["mode_change"] == "truncated"
        assert place(seen) == place(last)


def test_mode_storm_gives_observations_of_the_space(guest: GymMachine) -> None:
    ended = threading.Event()

    def storm() -> None:
        for size in itertools.cycle([(64, 48), (WIDTH, HEIGHT), (200, 33), (1, 1)]):
            if ended.is_set():
                return
            guest.producer.set_mode(*size)

    for observation in ("rgb", "tiles"):
        with make(observation=observation) as env:
            env.reset()
            thread = threading.Thread(target=storm)
            thread.start()
            try:
                for _ in range(200):
                    seen, _, _, _, info = env.step(0)
                    assert seen in env.observation_space
                    assert info["mode_change"] in ("", "scaled")
            finally:
                ended.set()
                thread.join()
            ended.clear()
            guest.show_mode(WIDTH, HEIGHT)


def test_last_observation_stays_without_a_picture(guest: GymMachine, env: Env) -> None:
    env.reset()
    last = env.step(RIGHT)[0]
    guest.no_picture("the guest has blanked the screen")
    seen, _, _, _, info = env.step(0)
    np.testing.assert_array_equal(seen, last)
    assert info["no_picture"] == "the guest has blanked the screen"


def test_last_rendered_picture_stays_without_a_picture(guest: GymMachine) -> None:
    guest.no_picture("the guest has blanked the screen")
    with make(reset=None) as env:
        env.reset()
        assert env.render().shape == (HEIGHT, WIDTH, 3) and not env.render().any()
        guest.producer.set_state(State.LIVE)
        shown = env.render()
        assert shown.any()
        guest.no_picture("the guest has blanked the screen")
        np.testing.assert_array_equal(env.render(), shown)


def test_a_character_may_arrive_in_two_steps(runtime_folder: Path) -> None:
    seen: list[str] = []
    euro = "\N{EURO SIGN}".encode()

    def has_seen(text: str) -> bool:
        env.step(0)
        return "".join(seen).endswith(text)

    def reward(moment: Moment) -> float:
        seen.append(moment.serial)
        return 0

    with serial_host("gym", SerialGym) as host, make(serial=True, reward=reward) as env:
        env.reset()
        host.machine.guest.sendall(b"5 " + euro[:2])
        until(lambda: has_seen("5 "))
        host.machine.guest.sendall(euro[2:] + b"\n")
        until(lambda: has_seen("\n"))
    assert "".join(seen) == "5 \N{EURO SIGN}\n"


# ---- Wrong use


def test_step_before_reset_says_so(env: Env) -> None:
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(0)


def test_closed_environment_says_so(env: Env) -> None:
    env.close()
    env.close()
    with pytest.raises(ClosedEnvironmentError, match="make another"):
        env.step(0)
    with pytest.raises(ClosedEnvironmentError, match="make another"):
        env.reset()


def test_invalid_action_sends_nothing(guest: GymMachine, env: Env) -> None:
    env.reset()
    for wrong in (3, -1, math.nan, None, "left"):
        with pytest.raises(UsageError, match="nothing was sent"):
            env.step(wrong)
    assert guest.log == []
    env.step(RIGHT)


def test_missing_snapshot_lists_the_others(guest: GymMachine) -> None:
    with make(reset=SnapshotReset("nothing")) as env:
        with pytest.raises(UsageError, match="the snapshots are: clean"):
            env.reset()
        with pytest.raises(ResetNeeded):
            env.step(0)


def test_paused_guest_says_how_to_go_on(guest: GymMachine, env: Env) -> None:
    env.reset()
    env.machine.pause()
    assert env.step(0)[0] in env.observation_space
    with pytest.raises(InputError, match="resume it"):
        env.step(RIGHT)
    env.machine.resume()
    assert place(env.step(RIGHT)[0]) == 1


def test_machine_that_ends_is_an_error_and_a_reset_starts_it_again(
    guests: list[GymMachine],
) -> None:
    names = iter(["gym0", "gym1"])
    with Env(lambda: kju.attach(next(names)), actions=ARROWS) as env:
        env.reset()
        env.machine._link.close()
        until(lambda: not env.machine.is_alive)
        with pytest.raises((MachineGoneError, kju.errors.ClosedError)):
            env.step(RIGHT)
        env.reset()
        assert env.machine.name == "gym1"
        env.step(RIGHT)


@pytest.mark.parametrize("options", [
    {"actions": ARROWS, "observation": "hsv"}, {"actions": ARROWS, "on_mode_change": "stop"},
    {"actions": ARROWS, "size": (0, 1)}, {"actions": ARROWS, "reset": "no name"},
    {"actions": ARROWS, "render_mode": "human"}, {"actions": ARROWS, "rewards": None}, {},
], ids=lambda options: [*options, "nothing"][-2 if options else 0])  # fmt: skip
def test_invalid_options_are_refused(guest: GymMachine, options: Any) -> None:
    with pytest.raises(UsageError):
        Env("gym", **options)
    until(lambda: guest.gone is not None)


@pytest.mark.parametrize("wrong", [
    lambda: Free(-1), lambda: Lockstep(0), lambda: Lockstep(math.nan), lambda: Settled(still=-1),
    lambda: UntilChanged(0.01), lambda: UntilChanged(math.nan), lambda: UntilChanged(11),
    lambda: UntilChanged(slice_seconds=0),
])  # fmt: skip
def test_invalid_steppings_are_refused(wrong: Any) -> None:
    with pytest.raises(UsageError):
        wrong()
