"""What every command has: the store it works on, and whether it answers in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ohlcache.history import MarketData

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Interrupted(Exception):
    """Ctrl-C; the message says what is stored and how to go on."""


@dataclass
class Invocation:
    """One run of the command line. ``store`` is what ``ohlcache.open`` takes as location."""

    store: str | None = None
    as_json: bool = False

    @property
    def place(self) -> str:
        """Where the store is, or will be: a file, or a URL without its password."""
        from ohlcache.runtime import is_postgres
        from ohlcache.urls import masked

        return masked(self._location) if is_postgres(self._location) else str(self._database_path())

    def exists(self) -> bool:
        """Whether there is a store; a database on a server is taken to hold one.

        Raises InvalidArgument where there cannot be one, or nobody may look.
        """
        from ohlcache.errors import InvalidArgument
        from ohlcache.runtime import is_postgres

        if is_postgres(self._location):
            return True
        try:
            self._database_path().stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise InvalidArgument(
                f"store {self.place} cannot be read ({error.strerror}): name another one with "
                "--store"
            ) from None
        return True

    @property
    def _location(self) -> str:
        from ohlcache.settings import as_settings

        return str(as_settings(None).history.location if self.store is None else self.store)

    def _database_path(self) -> Path:
        from ohlcache.runtime import database_path

        return database_path(self._location)

    def open(self, source: Any = None, *, memory_mb: int | None = None) -> MarketData:
        """The store, created where it does not exist; it holds so much in memory, or as set."""
        import ohlcache
        from ohlcache.settings import as_settings

        settings = as_settings(None)
        if memory_mb is not None:
            history = settings.history.model_copy(update={"memory_mb": memory_mb})
            settings = settings.model_copy(update={"history": history})
        return ohlcache.open(self.store, source=source, settings=settings)

    def open_existing(self, source: Any = None, *, memory_mb: int | None = None) -> MarketData:
        """The store. Raises InvalidArgument where there is none: a typing error makes no store."""
        from ohlcache.errors import InvalidArgument

        if not self.exists():
            raise InvalidArgument(
                f"store {self.place} does not exist: import or fetch candles first, or name "
                "another one with --store"
            )
        return self.open(source, memory_mb=memory_mb)

    def print_json(self, document: Any) -> None:
        """One JSON document on stdout."""
        click.echo(json.dumps(document, allow_nan=False))


def _set(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:  # noqa: ARG001
        if value is not None and value is not False:
            setattr(ctx.ensure_object(Invocation), field, value)

    return callback


def common_options(function: Decorated) -> Decorated:
    """--store and --json, which may stand before and after the name of the command."""
    store = click.option(
        "--store",
        metavar="LOCATION",
        expose_value=False,
        callback=_set("store"),
        help=(
            "A directory, sqlite:///path or postgresql://user@host/database; "
            "default: OHLCACHE_STORE, or your data directory."
        ),
    )
    as_json = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_set("as_json"),
        help="Print one JSON document.",
    )
    return store(as_json(function))


def subcommand(name: str) -> Callable[[Callable[..., int | None]], click.Command]:
    """Make a function a command: it is given the Invocation first and returns an exit code.

    Its help line is the first line of the function's docstring.
    """

    def decorate(function: Callable[..., int | None]) -> click.Command:
        return click.command(name)(common_options(click.pass_obj(function)))

    return decorate
