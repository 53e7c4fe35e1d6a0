"""`ocpy completion`: completion of commands and options in the shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
      ocpy completion bash > ~/.local/share/bash-completion/completions/ocpy
      ocpy completion zsh > ~/.zfunc/_ocpy
      ocpy completion fish > ~/.config/fish/completions/ocpy.fish
    """
    completion = get_completion_class(shell)
    assert completion is not None
    root = ctx.find_root().command
    click.echo(completion(root, {}, "ocpy", "_OCPY_COMPLETE").source())
