"""One machine as an environment of Gymnasium."""

from __future__ import annotations

from typing import Any, Unpack

import gymnasium
from gymnasium import spaces

from ..client.consumer.frame import FramePool
from ..errors import UsageError
from .episode import EnvOptions, Episode, MachineSource


class Env(gymnasium.Env[Any, Any]):
    """A machine as a Gymnasium environment.

    Observations are new arrays. The machine needs the control role. Use it as a context manager, or
    `close` it.

    Args:
        machine: A machine; the name of a running one; or a function that starts one, which is
            called again if the machine has ended at a reset. A machine that was given as an object
            stays open when the environment is closed.
        render_mode: ``rgb_array``, or None.
        **options: See `EnvOptions`.

    Raises:
        UsageError: An option is not valid.
        MachineNotFoundError: No machine of this name is running.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012  Gymnasium's

    def __init__(
        self,
        machine: MachineSource,
        *,
        render_mode: str | None = "rgb_array",
        **options: Unpack[EnvOptions],
    ) -> None:
        self.render_mode: str | None = check_render_mode(render_mode)
        self._episode = Episode(machine, options)
        self.action_space: spaces.Space[Any] = self._episode.actions.space
        self.observation_space: spaces.Space[Any] = self._episode.observer.space
        self._pool = FramePool()
        self._last: Any = None

    @property
    def machine(self) -> Any:  # noqa: ANN401  Gymnasium's wrappers pass attributes on untyped
        """The machine of the present episode."""
        return self._episode.machine

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Of `np_random`. The guest has no seed.
            options: Ignored.

        Raises:
            UsageError: The machine has no such snapshot.
            KjuError: The machine could not be reset.
        """
        super().reset(seed=seed)
        self._last = self._allocate()
        return self._last, self._episode.reset(self._last)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Carry out an action, and return the observation.

        Raises:
            ResetNeeded: The environment was not reset, or the episode has ended.
            UsageError: The action is not valid; nothing was sent.
            InputError: The guest does not read its input.
            MachineGoneError: The machine has ended.
        """
        out = self._allocate()
        result = self._episode.step(action, out, self._last)
        self._last = out
        return out, *result

    def _allocate(self) -> Any:  # noqa: ANN401  a value of the space
        """Return memory for an observation."""
        space = self.observation_space
        if isinstance(space, spaces.Dict):
            return {name: self._pool.allocate(part.shape or ()).view(part.dtype)
                    for name, part in space.items()}  # fmt: skip
        return self._pool.allocate(space.shape or ())

    def render(self) -> Any:  # noqa: ANN401  an array, or None
        """Return the screen: ``(height, width, 3)``, R G B; None without a render mode.

        While the guest shows no picture it is the last one that was rendered.
        """
        if self.render_mode is None:
            return None
        return self._episode.render()

    def close(self) -> None:
        """End the episode, and close the machine if it was opened here. May be called twice."""
        self._episode.close()


def check_render_mode(mode: str | None) -> str | None:
    """Return a render mode.

    Raises:
        UsageError: It is unknown.
    """
    if mode not in (None, "rgb_array"):
        raise UsageError(f"render_mode must be rgb_array or None, not {mode!r:.40}")
    return mode
