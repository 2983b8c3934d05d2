"""SHELL: commands to the machine of a view: start, pause, snapshot, the power button, the end.

Rules:

- A command may wait (a snapshot writes a gigabyte, a host may be stopped), so each runs on a
  thread of its own; a command that is under way is not started again, so there are at most as
  many threads as commands.
- `MachineControl.refusal` names the reason why a command cannot be given now; the view offers the
  others only.
- The end without the guest's consent (`MachineCommand.END`) is offered from the press of the power
  button on: a guest that ignores the button does not make the user wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..client.launching import attach, start
from ..errors import KjuError, PowerButtonError
from ..store.paths import is_defined
from .contract import Status, ViewState
from .machine_commands import ControlState, MachineCommand, refusal

#: Time that `MachineCommand.STOP` gives the guest to shut down, as `kju stop` does.
SHUTDOWN_SECONDS = 30.0


class MachineControl:
    """Gives commands to one machine. All but the commands' work runs on the view's thread.

    Args:
        name: The machine's name.
        post: Calls a function on the view's thread, from any thread.
        notify: Shows a message.
        on_change: Called after a change of `state`.
        perform: Does a command, and returns a message or nothing; may wait.
    """

    def __init__(
        self,
        name: str,
        post: Callable[[Callable[[], None]], None],
        notify: Callable[[str], None],
        on_change: Callable[[], None],
        perform: Callable[[str, MachineCommand, str], str] | None = None,
    ) -> None:
        self.name = name
        self._post, self._notify, self._on_change = post, notify, on_change
        self._perform = perform or _perform_command
        self._status = Status(name, state=ViewState.CONNECTING)
        self._pending: dict[MachineCommand, str] = {}
        self._power_pressed = False
        self._power_refusal = ""
        self._startable = False
        self._closed = False

    @property
    def state(self) -> ControlState:
        """State of the commands."""
        pending = next(reversed(self._pending.values()), "")
        return ControlState(pending, self._power_pressed, self._startable, self._power_refusal)

    def set_status(self, status: Status) -> None:
        """Take the view's status."""
        ended = status.state is ViewState.ENDED and self._status.state is not ViewState.ENDED
        self._status = status
        if status.state in (ViewState.LIVE, ViewState.PAUSED, ViewState.NO_PICTURE):
            self._startable = False
        if ended:
            self._power_pressed, self._power_refusal = False, ""
            self._run("kju-defined", self._check_definition)

    def close(self) -> None:
        """Drop the results of commands that are under way."""
        self._closed = True

    def refusal(self, command: MachineCommand) -> str:
        """Return the reason why a command cannot be given now; empty where it can."""
        if command in self._pending:
            return f"{self._pending[command]}: under way"
        return refusal(command, self._status, self._startable)

    def run(self, command: MachineCommand, argument: str = "") -> None:
        """Give a command; a failure is shown as a message.

        Args:
            command: The command.
            argument: The snapshot's name.
        """
        if reason := self.refusal(command):
            self._notify(f"cannot {command.value} {self.name}: {reason}")
            return
        self._pending[command] = f"{command.pending} {argument}".strip()
        self._power_refusal = ""
        if command in (MachineCommand.POWER, MachineCommand.STOP):
            self._power_pressed = True
        self._on_change()

        def work() -> None:
            error: Exception | None = None
            message = ""
            try:
                message = self._perform(self.name, command, argument)
            except (KjuError, OSError) as failure:
                error = failure
            self._post(lambda: self._done(command, message, error))

        self._run(f"kju-{command.name.lower()}", work)

    def _run(self, name: str, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=name, daemon=True).start()

    def _done(self, command: MachineCommand, message: str, error: Exception | None) -> None:
        if self._closed:
            return
        self._pending.pop(command, None)
        if error is not None:
            message = f"cannot {command.value} {self.name}: {error}"
            if command in (MachineCommand.POWER, MachineCommand.STOP):
                self._power_pressed = False
                if isinstance(error, PowerButtonError):
                    # Its badge has the button to end the machine, in place of the command.
                    self._power_refusal, _, _ = str(error).partition("; end it with: ")
                    message = ""
        if message:
            self._notify(message)
        self._on_change()

    def _check_definition(self) -> None:
        try:
            startable = is_defined(self.name)
        except (KjuError, OSError):  # the name of a remote screen or of a surface
            startable = False
        self._post(lambda: self._set_startable(startable))

    def _set_startable(self, startable: bool) -> None:
        if not self._closed and self._status.state is ViewState.ENDED:
            self._startable = startable
            self._on_change()


def _perform_command(name: str, command: MachineCommand, argument: str = "") -> str:
    """Do a command and return when it is done; return a message, or nothing.

    Args:
        name: The machine.
        command: The command.
        argument: The snapshot's name.

    Raises:
        KjuError: It failed.
    """
    if command is MachineCommand.START:
        start(name, detach=True).close()
        return ""
    with attach(name) as machine:
        match command:
            case MachineCommand.PAUSE:
                machine.pause()
            case MachineCommand.RESUME:
                machine.resume()
            case MachineCommand.RESET:
                machine.reset()
                return f"{name} was reset"
            case MachineCommand.POWER:
                machine.powerdown()
            case MachineCommand.STOP:
                if not machine.shutdown(timeout=SHUTDOWN_SECONDS):
                    return f"{name} was ended: its guest did not shut down"
            case MachineCommand.END:
                machine.stop()
            case MachineCommand.SNAPSHOT:
                saved = machine.snapshots.save(argument, timeout=None)
                done = f"saved the snapshot {argument}"
                return f"{done}; {saved.note}" if saved.note else done
    return ""
