"""Several machines as one vector environment of Gymnasium."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, Self, Unpack

import numpy as np
from gymnasium import Space, spaces
from gymnasium.error import ClosedEnvironmentError
from gymnasium.vector import AutoresetMode
from gymnasium.vector import VectorEnv as GymnasiumVectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array, iterate

from ..client.consumer.frame import FramePool
from ..client.machine import Machine
from ..errors import UsageError
from .actions import checked
from .env import check_render_mode
from .episode import EnvOptions, MachineSource
from .episodes import Episodes, LocalEpisodes, copy_observation, slot
from .observing import small


class EpisodesEnv(GymnasiumVectorEnv[Any, Any, Any]):
    """A vector environment over episodes, wherever they run: see its subclasses.

    Args:
        episodes: The episodes, which this object closes.
        autoreset_mode: See `VectorEnv`, as the others.
        copy: Return new arrays.
        render_mode: ``rgb_array``, or None.
    """

    def __init__(
        self,
        episodes: Episodes,
        *,
        autoreset_mode: AutoresetMode,
        copy: bool,
        render_mode: str | None,
    ) -> None:
        super().__init__()
        self.autoreset_mode: AutoresetMode = autoreset_mode
        modes = {"render_modes": ["rgb_array"], "autoreset_mode": self.autoreset_mode}
        self.metadata: dict[str, Any] = modes
        self.render_mode: str | None = render_mode
        self._memory = FramePool() if copy else None
        self._episodes = episodes
        self.num_envs: int = len(episodes.over)
        self.single_observation_space: Space[Any] = episodes.space
        self.single_action_space: Space[Any] = episodes.action_space
        batch = small(batch_space(self.single_observation_space, self.num_envs))
        self.observation_space: Space[Any] = batch
        self.action_space: Space[Any] = batch_space(self.single_action_space, self.num_envs)
        self._batch: Any = create_empty_array(self.single_observation_space, self.num_envs)
        self._slots = [slot(self._batch, number) for number in range(self.num_envs)]

    # ---- The episodes

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every machine, or in those of ``options["reset_mask"]``.

        Args:
            seed: Of `np_random`. The guests have no seeds.
            options: ``reset_mask``: a bool for each machine.

        Raises:
            ClosedEnvironmentError: The environment is closed.
            UsageError: The mask is not valid, or a machine has no such snapshot.
            KjuError: A machine could not be reset.
        """
        self._check_open()
        super().reset(seed=next(iter(seed), None) if isinstance(seed, list) else seed)
        mask = self._mask((options or {}).get("reset_mask"))
        numbers = [int(number) for number in np.flatnonzero(mask)]
        last = self._renew()
        for kept in map(int, np.flatnonzero(~mask)):
            copy_observation(self._slots[kept], last[kept])
        infos: dict[str, Any] = {}
        for number, info in zip(numbers, self._episodes.begin(numbers, self._slots), strict=True):
            infos = self._add_info(infos, info, number)
        return self._batch, infos

    def _mask(self, mask: Any) -> Any:  # noqa: ANN401
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        found = np.asarray(mask)
        if found.shape != (self.num_envs,) or found.dtype != np.bool_ or not found.any():
            raise UsageError(
                f"reset_mask is an array of {self.num_envs} bools, at least one of them true"
            )
        return found

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:  # noqa: ANN401
        """Carry out an action in each machine.

        Returns:
            The observations, the rewards, the episodes that have ended, those that were truncated,
            and the infos. With `AutoresetMode.SAME_STEP` the infos have the last observation and
            info of an episode that has ended, as ``final_obs`` and ``final_info``.

        Raises:
            ClosedEnvironmentError: The environment is closed.
            ResetNeeded: No episode has begun, or one has ended and is not reset by itself.
            UsageError: An action is not in the space; nothing was sent to any machine.
            InputError: A guest does not read its input.
            MachineGoneError: A machine has ended.
        """
        self._check_open()
        each = self._checked(actions)
        last = self._renew()
        begins = self.autoreset_mode is AutoresetMode.NEXT_STEP
        results = self._episodes.advance(each, self._slots, last, begins=begins)
        rewards = np.zeros(self.num_envs, np.float64)
        ended, truncated = np.zeros((2, self.num_envs), np.bool_)
        infos: dict[str, Any] = {}
        for number, (reward, end, cut, info) in enumerate(results):
            rewards[number], ended[number], truncated[number] = reward, end, cut
            infos = self._add_info(infos, info, number)
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._episodes.over.any():
            infos = self._reset_ended(infos)
        return self._batch, rewards, ended, truncated, infos

    def _checked(self, actions: Any) -> list[Any]:  # noqa: ANN401
        """Return the action of each machine, each in the space."""
        each = list(iterate(self.action_space, actions))
        if len(each) != self.num_envs:
            raise UsageError(f"{len(each)} actions for {self.num_envs} machines")
        for action in each:
            checked(self.single_action_space, action)
        return each

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError("the environment is closed: make another one")

    def _reset_ended(self, infos: dict[str, Any]) -> dict[str, Any]:
        numbers = [int(number) for number in np.flatnonzero(self._episodes.over)]
        kept: dict[str, Any] = {}
        for number in range(self.num_envs):
            info = {
                key: value[number]
                for key, value in infos.items()
                if not key.startswith("_") and infos[f"_{key}"][number]
            }
            if number in numbers:
                last = {"final_obs": deepcopy(self._slots[number]), "final_info": info}
                kept = self._add_info(kept, last, number)
            else:
                kept = self._add_info(kept, info, number)
        for number, info in zip(numbers, self._episodes.begin(numbers, self._slots), strict=True):
            kept = self._add_info(kept, info, number)
        return kept

    def _renew(self) -> list[Any]:
        """Take another array for the next observations, if they are copied; return the old slots.

        The array is memory that the program has released, so that no page is new.
        """
        last = self._slots
        if self._memory is not None:
            self._batch = _allocated(self.observation_space, self._memory)
            self._slots = [slot(self._batch, number) for number in range(self.num_envs)]
        return last

    # ---- The rest

    def render(self) -> tuple[Any, ...] | None:
        """Return the screens, each ``(height, width, 3)``, R G B; None without a render mode.

        The screen of a guest that shows no picture is the last one that was rendered.
        """
        if self.render_mode is None:
            return None
        return self._episodes.render()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ANN401  Gymnasium's
        """Close the machines that were opened here."""
        self._episodes.close()


class VectorEnv(EpisodesEnv):
    """Several machines as one vector environment.

    It runs in this process, and copies all screens into one array ``(N, height, width, channels)``.
    Steps that wait (`Settled`, `Lockstep`) and resets run in ``at_once`` machines at the same time.

    Args:
        machines: The machines, each as for `Env`. All have the same screen size, unless ``size`` is
            given.
        autoreset_mode: An episode that has ended begins again with the next step, in the same step,
            or when the program resets it (``options={"reset_mask": ...}``).
        at_once: The machines that step or are reset at the same time. Default: all; with `Lockstep`
            as many as there are processors for this process, because a step of a guest that shares
            a processor is shorter.
        copy: Return new arrays. Otherwise the next step overwrites the observations.
        render_mode: ``rgb_array``, or None.
        **options: See `EnvOptions`.

    Raises:
        UsageError: An option is not valid, or the machines have screens of different sizes.
        MachineNotFoundError: No machine of a name is running.
    """

    def __init__(
        self,
        machines: Iterable[MachineSource],
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        at_once: int | None = None,
        copy: bool = True,
        render_mode: str | None = "rgb_array",
        **options: Unpack[EnvOptions],
    ) -> None:
        mode, render = mode_of(autoreset_mode), check_render_mode(render_mode)
        episodes = LocalEpisodes(machines, options, at_once)
        super().__init__(episodes, autoreset_mode=mode, copy=copy, render_mode=render)


def vector_of(num_envs: int, machine: MachineSource, **options: Any) -> VectorEnv:  # noqa: ANN401
    """Make a vector environment as `gymnasium.make_vec` does.

    Args:
        num_envs: The number of machines.
        machine: A function that starts one, such as ``base.fork``; or the only machine.
        **options: As of `VectorEnv`.

    Raises:
        UsageError: One machine is given for several environments.
    """
    if num_envs != 1 and isinstance(machine, Machine | str):
        raise UsageError(
            f"{num_envs} environments need {num_envs} machines: give a function that starts one,"
            " such as machine=base.fork, or make a kju.gym.VectorEnv of a list"
        )
    return VectorEnv([machine] * num_envs, **options)


def mode_of(mode: AutoresetMode | str) -> AutoresetMode:
    """Return a mode.

    Raises:
        UsageError: It is unknown.
    """
    try:
        return AutoresetMode(mode)
    except ValueError:
        names = ", ".join(each.value for each in AutoresetMode)
        raise UsageError(f"autoreset_mode must be one of {names}, not {mode!r:.40}") from None


def _allocated(space: Space[Any], memory: FramePool) -> Any:  # noqa: ANN401  of the space
    """Return memory for a value of a space whose items have one byte."""
    if isinstance(space, spaces.Dict):
        return {name: _allocated(part, memory) for name, part in space.items()}
    return memory.allocate(space.shape or ()).view(space.dtype)
