"""One machine of an environment: its episodes, and the facts that the user's functions get."""

from __future__ import annotations

import codecs
import contextlib
import socket
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from ..acting.inputs import AnyInput, KeyUp
from ..client.launching import attach
from ..client.machine import Machine
from ..client.sending import send_one
from ..errors import KjuError, MachineGoneError, UsageError
from .actions import ActionContext, Actions, checked, held_after
from .observing import ModeChange, Observation, Observer
from .resets import Reset, as_reset
from .stepping import Free, Stepping

if TYPE_CHECKING:
    from ..client.surface import Screen
    from ..vision.text import Text

# Bytes of the serial port that one step reads: a guest may write faster than this process reads.
_MAX_SERIAL = 1 << 20
#: A machine, the name of a running one, or a function that starts one.
MachineSource: TypeAlias = "Machine | str | Callable[[], Machine]"


@dataclass
class Moment:
    """The state after a step, for the functions `reward` and `ended`.

    Attributes:
        observation: As the environment returns it. Copy it to keep it.
        info: As the environment returns it; it may be added to.
        serial: The guest's output on its serial port since the last step; empty without ``serial``.
        steps: The number of steps of the episode, this one included.
        screen: The screen.
    """

    observation: Any
    info: dict[str, Any]
    serial: str
    steps: int
    screen: Screen

    @property
    def frame(self) -> Any:  # noqa: ANN401  an array, of a kind that the user has chosen
        """The pixels of the observation."""
        found = self.observation
        return found["frame"] if isinstance(found, dict) else found

    @cached_property
    def text(self) -> Text:
        """The text on the screen, read when it is first used: ``str(moment.text)``."""
        return self.screen.read_text()


class EnvOptions(TypedDict, total=False):
    """The options of `Env` and `VectorEnv`.

    Attributes:
        actions: The kind of actions. Required.
        observation: ``rgb``, ``grey``, or ``tiles``: a ``frame`` and the 32-pixel squares that have
            ``changed`` since the last observation. Default: ``rgb``.
        size: Width and height of the observation; by default those of the present screen.
        on_mode_change: ``scale`` the picture if the guest sets another mode within an episode, or
            ``truncate`` the episode. Default: ``scale``.
        stepping: `Free` (default), `Settled` or `Lockstep`. Each machine uses a copy of it.
        reset: The name of a snapshot, or a `Reset`. Without it the machine continues as it is.
        reward: Returns the reward of a step. Default: 0.
        ended: Returns whether the episode has ended. Default: never.
        max_steps: The steps after which an episode is truncated. Default: no limit.
        serial: Read the guest's serial port, for `Moment.serial`. A step reads at most 1 MiB; the
            next one continues there. Default: no.
    """

    actions: Actions
    observation: Observation
    size: tuple[int, int] | None
    on_mode_change: ModeChange
    stepping: Stepping
    reset: str | Reset | None
    reward: Callable[[Moment], float]
    ended: Callable[[Moment], bool]
    max_steps: int | None
    serial: bool


class Episode:
    """One machine, from its first reset to its end.

    Args:
        source: The machine.
        options: The options of the environment.
        screen_size: Width and height of the observation without the option ``size``; by default
            those of the present screen.

    Attributes:
        machine: The machine of the present episode.
        observer: Reads its screen.
        actions: The kind of actions.

    Raises:
        UsageError: An option is not valid.
        KjuError: The machine could not be attached to or started.
    """

    def __init__(
        self,
        source: MachineSource,
        options: EnvOptions,
        *,
        screen_size: tuple[int, int] | None = None,
    ) -> None:
        check_options(options)
        self.actions: Actions = options["actions"]
        self._options = options
        # A copy: `Free` has the time of the next step, which is another one for each machine.
        self._stepping: Stepping = copy(options.get("stepping") or Free())
        self._reset = as_reset(options.get("reset"))
        self._source = source
        self._owned = not isinstance(source, Machine)
        self.machine: Machine = self._open()
        self._serial: socket.socket | None = None
        self._decoder = _utf8()
        self._steps = -1  # below 0: reset is due
        self._held: tuple[int, ...] = ()
        self._doubtful: tuple[int, ...] = ()
        size = options.get("size")
        try:
            mode = self.machine.screen.mode
            self.observer: Observer = Observer(
                options.get("observation", "rgb"),
                size or screen_size or (mode.width, mode.height),
                options.get("on_mode_change", "scale"),
                scales=size is not None,
            )
            self._connect()
        except BaseException:
            self.close()
            raise

    @property
    def waits(self) -> bool:
        """True if a step takes longer than a copy of the screen."""
        return self._stepping.waits

    @property
    def needs_processor(self) -> bool:
        """True if a step is wrong for a guest that gets too little of a processor."""
        return self._stepping.needs_processor

    def _open(self) -> Machine:
        source = self._source
        if isinstance(source, Machine):
            return source
        return attach(source, rate=self._stepping.rate) if isinstance(source, str) else source()

    def _connect(self) -> None:
        """Prepare a machine that has not been used before."""
        self.machine.screen.set_rate(self._stepping.rate)
        if self._serial is not None:
            self._serial.close()
            self._serial = None
        self._decoder = _utf8()
        if self._options.get("serial"):
            self._serial = self.machine.serial()
            self._serial.setblocking(False)

    # ---- The episode

    def reset(self, out: Any) -> dict[str, Any]:  # noqa: ANN401  a value of the space
        """Begin an episode; write its first observation; return the info.

        Raises:
            ClosedEnvironmentError: The environment is closed.
            KjuError: The machine could not be reset.
        """
        self._check_open()
        self._steps = -1
        if self.machine.is_alive:
            # A guest that has failed reads no input, and is what a reset is for: the next step
            # releases the keys.
            with contextlib.suppress(KjuError):
                self._release_keys()
        else:
            self._held = self._doubtful = ()
            if self._owned and not isinstance(self._source, Machine):
                self.machine.close()
                self.machine = self._open()
                self._connect()
        if self.machine.is_alive:
            self._stepping.prepare(self.machine)
        self._exchange(self._reset(self.machine))
        self._stepping.begin(self.machine)
        self.machine.screen.set_rate(self._stepping.rate)
        self.observer.begin(self.machine.screen)
        self._read_serial()
        info = self.observer.read(self.machine.screen, out, None)
        self._steps = 0
        return info

    def _exchange(self, machine: Machine) -> None:
        """Go on with the machine that a reset has returned."""
        old, owned = self.machine, self._owned
        if machine is not old:
            self.machine, self._owned = machine, True
            if owned:
                old.close()
            else:
                self._give_back(old)
            self._connect()

    def step(
        self,
        action: Any,  # noqa: ANN401  a value of the space
        out: Any,  # noqa: ANN401
        last: Any,  # noqa: ANN401
    ) -> tuple[float, bool, bool, dict[str, Any]]:
        """Carry out an action and write the observation.

        Args:
            action: A value of the space of actions.
            out: The memory of the observation.
            last: The last observation; it may be *out*.

        Returns:
            The reward; whether the episode has ended, and whether it was truncated; the info.

        Raises:
            ResetNeeded: The environment was not reset, or the episode has ended.
            UsageError: The action is not valid; nothing was sent.
            InputError: The guest does not read its input.
            MachineGoneError: The machine has ended.
        """
        self._check_open()
        if self._steps < 0:
            raise ResetNeeded("no episode is running: call reset() first")
        checked(self.actions.space, action)
        screen = self.machine.screen
        mode = screen.mode
        inputs = self.actions.inputs(action, ActionContext((mode.width, mode.height), self._held))
        added = self._run(screen, inputs)
        self._steps += 1
        info = self.observer.read(screen, out, last) | added
        moment = Moment(out, info, self._read_serial(), self._steps, screen)
        reward, ended = self._options.get("reward"), self._options.get("ended")
        gain = float(reward(moment)) if reward else 0.0
        terminated = bool(ended(moment)) if ended else False
        most = self._options.get("max_steps")
        truncated = info["mode_change"] == "truncated" or (most is not None and self._steps >= most)
        if terminated or truncated:
            self._steps = -1
        return gain, terminated, truncated, info

    def render(self) -> Any:  # noqa: ANN401  an array
        """Return the whole screen; see `Observer.render`."""
        self._check_open()
        return self.observer.render(self.machine.screen)

    def _run(self, screen: Screen, inputs: Sequence[AnyInput]) -> dict[str, Any]:
        # Of a step that fails some keys may be down: the next one releases them first.
        doubtful = [KeyUp(key) for key in self._doubtful]
        held, self._held = self._held, ()
        self._doubtful = held_after([i for i in inputs if not isinstance(i, KeyUp)], held)
        try:
            added = self._stepping.step(screen, [*doubtful, *inputs])
        except MachineGoneError as error:
            hint = "reset() starts it again" if self._owned else "make another environment"
            raise MachineGoneError(f"{error}; the episode is over: {hint}", error.name) from error
        self._held, self._doubtful = held_after(inputs, held), ()
        return added

    def _read_serial(self) -> str:
        data = b""
        if self._serial is not None:
            try:
                while len(data) < _MAX_SERIAL and (part := self._serial.recv(1 << 16)):
                    data += part
            except (BlockingIOError, ConnectionError):
                pass
        # A character may arrive in two parts: the next step has it.
        return self._decoder.decode(data)

    # ---- The end

    def _check_open(self) -> None:
        if self._source is None:
            raise ClosedEnvironmentError("the environment is closed: make another one")

    def _release_keys(self) -> None:
        """Release the keys that the environment holds; a paused guest runs afterwards."""
        held = tuple({*self._held, *self._doubtful})
        self._held, self._doubtful = (), held
        if held:
            self.machine.resume()
            for key in held:
                send_one(self.machine.keyboard, self.machine.pointer, KeyUp(key))
        self._doubtful = ()

    def _give_back(self, machine: Machine) -> None:
        """Leave a machine of the caller as it was: it runs, and is looked at as before."""
        with contextlib.suppress(KjuError):  # it has ended
            if self._stepping.rate == 0:
                machine.resume()
            machine.screen.set_rate(None)

    def close(self) -> None:
        """Release the keys, let the guest run, and close a machine that was opened here."""
        if self._source is None:
            return
        self._source = None  # type: ignore[assignment]  # closed
        try:
            with contextlib.suppress(KjuError):  # it has ended
                self._release_keys()
        finally:
            if self._serial is not None:
                self._serial.close()
            self._give_back(self.machine)
            if self._owned:
                self.machine.close()


def check_options(options: EnvOptions) -> None:
    """Check the names of options.

    Raises:
        UsageError: One is unknown, or ``actions`` is missing.
    """
    if unknown := set(options) - set(EnvOptions.__annotations__):
        known = ", ".join(EnvOptions.__annotations__)
        raise UsageError(f"unknown option {min(unknown)!r}; the options are: {known}")
    if "actions" not in options:
        raise UsageError("actions is missing, such as actions=ChordActions('', 'left')")


def _utf8() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")
