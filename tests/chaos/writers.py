"""Writers that are killed: ``python -m chaos.writers FOLDER`` forks one for each line on its input.

A line holds the first step to write and the seconds after which the writer is killed; the answer
is a line of the steps that it acknowledged. The interpreter is started once, because starting it
takes far longer than a write.
"""

from __future__ import annotations

import os
import select
import signal
import sys

import ohlcache
import ohlcache.runtime  # so that a forked writer loses no time on imports
from made_candles import MINUTE, T0, make_block

SERIES = ("X", "1m")


def block_of(step):
    """What a step writes: one row, a few, or thousands, over what others wrote before."""
    rows = (1, 40, 3_000)[step % 3]
    return make_block(rows, start=T0 + (step * 1_500 % 12_000) * MINUTE, seed=step)


def write_forever(folder, step, acknowledge):
    with ohlcache.open(folder) as md:
        os.write(acknowledge, b"ready\n")
        while True:
            md.write(*SERIES, block_of(step))
            os.write(acknowledge, f"{step}\n".encode())
            step += 1


def main(folder):
    for line in sys.stdin:
        first, delay = line.split()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            write_forever(folder, int(first), writer)
        os.close(writer)
        output = b""
        while not output.startswith(b"ready\n"):
            output += os.read(reader, 65_536)
        select.select([], [], [], float(delay))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while part := os.read(reader, 65_536):
            output += part
        os.close(reader)
        print(*output.decode().split("\n")[1:-1], flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
