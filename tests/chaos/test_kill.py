"""SIGKILL of a writer at random moments: what it acknowledged is there, nothing is torn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import ohlcache
from ohlcache.candles import Block, to_block

from .writers import SERIES, block_of

KILLS = 200


def laid_over(model, step):
    block = block_of(step)
    return {**model, **dict(zip(block.times.tolist(), block.values.T.tolist(), strict=True))}


def test_a_killed_writer_leaves_the_old_or_the_new_state(tmp_path):
    random = np.random.default_rng(7)
    tests = Path(__file__).parents[1]
    writers = subprocess.Popen(
        [sys.executable, "-m", "chaos.writers", tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tests)},
    )
    model: dict[int, tuple[float, ...]] = {}
    step = 0
    with ohlcache.open(tmp_path) as md:
        for kill in range(KILLS):
            writers.stdin.write(f"{step} {random.uniform(0, 0.06):.4f}\n")
            writers.stdin.flush()
            for done in map(int, writers.stdout.readline().split()):
                model = laid_over(model, done)
                step = done + 1
            read = to_block(md.candles(*SERIES)) if md.series() else Block.empty()
            found = dict(zip(read.times.tolist(), read.values.T.tolist(), strict=True))
            if found != model:  # the write under way had been committed, but not acknowledged
                model = laid_over(model, step)
                step += 1
            assert found == model
            assert kill % 20 or md.verify().ok
        assert md.verify().ok
    writers.stdin.close()
    assert writers.wait() == 0
    writers.stdout.close()
    assert step > KILLS // 2
