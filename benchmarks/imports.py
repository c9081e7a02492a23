"""How long does importing take, and the command line's help, over Python alone?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.common import Figure, Options, as_time, at_most, by_turns, figure, seconds

TITLE = "Start-up"

_BARE = "python alone"


def measure(options: Options) -> Iterator[Figure]:
    commands = {
        _BARE: [sys.executable, "-c", "pass"],
        "import ohlcache": [sys.executable, "-c", "import ohlcache"],
        "ohlcache.open looked up": [sys.executable, "-c", "import ohlcache; ohlcache.open"],
        "import pandas": [sys.executable, "-c", "import pandas"],
    }
    script = Path(sys.executable).with_name("ohlcache")
    call = "import sys; from ohlcache.cli import main; sys.argv[0] = 'ohlcache'; main()"
    start = [str(script)] if script.exists() else [sys.executable, "-c", call]
    commands["ohlcache --help"] = [*start, "--help"]
    runs = {name: _starting(command) for name, command in commands.items()}
    took = {name: median(times) for name, times in by_turns(runs, options.turns(25)).items()}
    bare = took.pop(_BARE)
    targets = {
        "import ohlcache": at_most(40e-3, as_time),
        "ohlcache --help": at_most(150e-3, as_time),
    }
    yield figure(f"{_BARE}, median", bare, as_time)
    for name, value in took.items():
        over = max(0.0, value - bare)
        yield figure(f"{name}, over {_BARE}, median", over, as_time, target=targets.get(name))


def _starting(command: list[str]):
    return lambda: seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
