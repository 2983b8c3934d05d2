"""`kju completion`: scripts that complete commands, options and machines' names in a shell.

typer makes the scripts and answers the shell; the names come from `command.running_machines`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import UsageError
from .parameters import completing

#: Where each shell loads a script of its own accord, or how it is told to.
SHELLS = {
    "bash": "kju completion bash > ~/.local/share/bash-completion/completions/kju",
    "zsh": "kju completion zsh > ~/.zfunc/_kju, with fpath+=~/.zfunc before compinit in ~/.zshrc",
    "fish": "kju completion fish > ~/.config/fish/completions/kju.fish",
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

    Its first line shows the command that installs it.
    """
    if shell not in SHELLS:
        raise UsageError(f"no completion for {shell!r}; choose one of: {', '.join(SHELLS)}")
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    print(f"# To install: {SHELLS[shell]}")
    print(get_completion_script(prog_name="kju", complete_var="_KJU_COMPLETE", shell=shell))


def enable() -> None:
    """Make typer answer the shell's questions; without it the variable has no effect."""
    from typer.completion import completion_init  # type: ignore[attr-defined]

    completion_init()
