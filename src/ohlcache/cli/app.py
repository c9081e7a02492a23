"""The command line as a whole: its commands, the options of all of them, and how it ends.

A command's module is imported when the command is used; ``--help`` needs none of them.

Exit codes: 0 done; 1 an error, or a check that found something wrong; 2 a wrong use of the command
line; 130 interrupted (Ctrl-C); 141 whoever read our output has gone.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from ohlcache import __version__
from ohlcache.cli.invocation import Interrupted, Invocation, common_options
from ohlcache.errors import OhlcacheError

FAILED, WRONG_USE, INTERRUPTED, NO_READER = 1, 2, 130, 141

# Each command's module below ohlcache.cli.commands, and its line in the help.
COMMANDS = {
    "demo": ("demo", "See it work: import, read and serve, no network needed."),
    "import": ("import_", "Store the candles of files."),
    "fetch": ("fetch", "Fetch candles from an exchange; only those that are missing."),
    "follow": ("follow", "Store and print candles as they close, until Ctrl-C."),
    "show": ("show", "Show candles as a table and a chart."),
    "ls": ("ls", "List what is stored."),
    "info": ("info", "Tell all about one series."),
    "gaps": ("gaps", "List absent candles, and why they are absent."),
    "verify": ("verify", "Check every stored byte."),
    "repair": ("repair", "Fetch what is damaged, or missing in between, from an exchange."),
    "resample": ("resample", "Make longer candles of stored ones."),
    "export": ("export", "Write candles to a file for other tools."),
    "lake": ("lake", "Export to a data lake, read from one, list one."),
    "delete": ("delete", "Remove a series, or a range of it."),
    "snapshot": ("snapshot", "Name the state of all series, to be read again with --as-of."),
    "snapshots": ("snapshots", "List the snapshots."),
    "revisions": ("revisions", "List candles that were changed or removed, and when."),
    "memory": ("memory", "See what a script does with its memory."),
    "metrics": (
        "metrics",
        "Print metrics, a Grafana dashboard or alert rules.",
    ),
    "serve": ("serve", "Answer HTTP requests for candles, until Ctrl-C."),
    "completion": ("completion", "Print the script that completes commands in your shell."),
}


class _Commands(click.Group):
    """The commands, each imported when it is first used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"ohlcache.cli.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=line)
            for name, (_, line) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is still buffered must not complain either when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return NO_READER
        return code


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Times are ISO texts or ms, UTC unless they say otherwise; ranges are [start, end) over "
    "open times. `ohlcache completion bash` (zsh, fish) prints a script that completes commands "
    'and options:  eval "$(ohlcache completion bash)"',
)
@common_options
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Any historical candles, from the nearest place that has them."""
    ctx.ensure_object(Invocation)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; ``arguments`` default to the process's."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # where an encoding lacks a character: "?"
    try:
        code = cli.main(args=arguments, prog_name="ohlcache", standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "ohlcache"
        return _failed(f"{error.format_message()} (see {where} --help)", WRONG_USE)
    except click.ClickException as error:
        return _failed(error.format_message(), FAILED)
    except Interrupted as stop:
        return _say(f"interrupted: {stop}", INTERRUPTED)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", INTERRUPTED)
    except OhlcacheError as error:
        return _failed("; ".join([str(error), *getattr(error, "__notes__", ())]), FAILED)
    except OSError as error:
        return _failed(str(error), FAILED)
    return int(code or 0)


def _failed(message: str, code: int) -> int:
    return _say(f"error: {message}", code)


def _say(message: str, code: int) -> int:
    click.echo(f"ohlcache: {' '.join(message.split())}", err=True)
    return code
