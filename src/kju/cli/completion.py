"""`kju completion`: scripts that complete commands, options and machines' names in a shell.

typer makes the scripts and answers the shell; the names come from `command.running_machines`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import UsageError
from .parameters import completing

#: The line that loads the script, in the start-up file of each shell.
SHELLS = {
    "bash": 'eval "$(kju completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(kju completion zsh)" in ~/.zshrc, after compinit',
    "fish": "kju completion fish | source in ~/.config/fish/config.fish",
}


def completion(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="SHELL", help=f"{', '.join(SHELLS)}.", autocompletion=completing(SHELLS)
        ),
    ],
) -> None:
    """Print a script that completes `kju` in a shell.

    Its first line shows how a shell loads it.
    """
    if shell not in SHELLS:
        raise UsageError(f"no completion for {shell!r}; choose one of: {', '.join(SHELLS)}")
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    print(f"# To load this in every shell: {SHELLS[shell]}")
    print(get_completion_script(prog_name="kju", complete_var="_KJU_COMPLETE", shell=shell))


def enable() -> None:
    """Make typer answer the shell's questions; without it the variable has no effect."""
    from typer.completion import completion_init  # type: ignore[attr-defined]

    completion_init()
