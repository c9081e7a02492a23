"""The command line as the tests use it: in this process, or as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ohlcache.cli import main

COMMAND = (sys.executable, "-m", "ohlcache.cli")


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self):
        """What was printed, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def error(self):
        """The one line on stderr."""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("ohlcache: ")
        return self.err.rstrip("\n")


class CommandLine:
    """``ohlcache`` on one store, in this process."""

    def __init__(self, store: Path, capsys) -> None:
        self.store = store
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Ended:
        self._capsys.readouterr()
        code = main(["--store", str(self.store), *map(str, arguments)])
        return Ended(code, *self._capsys.readouterr())

    def json(self, *arguments: object):
        """The document that a command prints, which must succeed without a word on stderr."""
        ended = self(*arguments, "--json")
        assert (ended.code, ended.err) == (0, "")
        return ended.document


def start(*arguments: object, store: Path, **options) -> subprocess.Popen:
    """``ohlcache`` as a process."""
    return subprocess.Popen(
        [*COMMAND, "--store", str(store), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **options.pop("env", {})},
        **options,
    )


def write_csv(path: Path, block, header: str = "timestamp,open,high,low,close,volume") -> Path:
    """A CSV file of candles; times in ms."""
    rows = zip(block.times.tolist(), *block.values.tolist(), strict=True)
    lines = [header, *(",".join(map(repr, row)) for row in rows)]
    path.write_text("\n".join(line for line in lines if line) + "\n")
    return path
