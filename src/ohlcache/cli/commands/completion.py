"""``ohlcache completion``: the script that completes commands in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ohlcache.cli.invocation import Invocation, subcommand


@subcommand("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(invocation: Invocation, shell: str) -> int | None:  # noqa: ARG001
    """Print the script that completes commands in your shell.

    \b
    bash: add to ~/.bashrc    eval "$(ohlcache completion bash)"
    zsh:  add to ~/.zshrc     eval "$(ohlcache completion zsh)"
    fish: run once            ohlcache completion fish > ~/.config/fish/completions/ohlcache.fish
    """
    from ohlcache.cli.app import cli

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(cli, {}, "ohlcache", "_OHLCACHE_COMPLETE").source())
    return None
