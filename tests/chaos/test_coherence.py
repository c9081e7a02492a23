"""Many processes on the same keys: no read is stale for longer than the bound, nothing is lost."""

from __future__ import annotations

import bisect
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

PROCESSES = 8
# Of each process; ``OHLCACHE_CHAOS_OPERATIONS``: another number on Redis, such as 20,000.
OPERATIONS = {"redis": int(os.environ.get("OHLCACHE_CHAOS_OPERATIONS", "10000")), "sqlite": 3_000}
BOUND = 0.05  # seconds after which a change is known everywhere, on an idle machine
SLACK = 0.45  # eight busy processes on two cores: a thread may wait so long for its turn


@pytest.fixture(params=list(OPERATIONS))
def settings(request, namespace, tmp_path):
    tree: dict = {"namespace": namespace}
    if request.param == "redis":
        # A pause of the machine must not look like an outage here; outages have their own tests.
        tree["l2"] = {
            "redis_url": request.getfixturevalue("redis_url"),
            "timeout_seconds": 10,
        }
    else:
        tree["l3"] = {"url": f"sqlite:///{tmp_path}/cache.db", "timeout_seconds": 30}
    return request.param, json.dumps({"cache": tree})


def run(settings, tmp_path):
    kind, tree = settings
    program = Path(__file__).with_name("mixed_operations.py")
    logs = [tmp_path / f"log-{number}.json" for number in range(PROCESSES)]
    workers = [
        subprocess.Popen(
            [sys.executable, program, tree, str(OPERATIONS[kind]), str(number), log],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, log in enumerate(logs)
    ]
    try:
        for word in ("ready", "done"):
            for worker in workers:
                assert worker.stdout.readline().strip() == word
            if word == "done":
                time.sleep(BOUND + SLACK)
            for worker in workers:
                worker.stdin.write("go\n")
                worker.stdin.flush()
        assert [worker.wait(60) for worker in workers] == [0] * PROCESSES
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            worker.stdin.close()
            worker.stdout.close()
    return [json.loads(log.read_text()) for log in logs]


def changes_by_key(found):
    """key -> every state it was given: (value, begin, end)."""
    changes = defaultdict(list)
    for process in found:
        for kind, key, value, begin, end in process["log"]:
            if kind != "read":
                changes[key].append((value, begin, end))
    return changes


class Model:
    """What may be read: a state is out of date when a later one was complete before the read."""

    def __init__(self, changes):
        self.made = {
            (key, value): (begin, end)
            for key in changes
            for value, begin, end in changes[key]
            if value
        }
        self.replacing = {}
        for key, states in changes.items():
            # Loads give a key its first value and replace nothing that could be read.
            ends = sorted((end, begin) for value, begin, end in states)
            self.replacing[key] = ([end for end, _ in ends], _running_latest(ends))

    def staleness(self, key, value, moment):
        """For how many seconds the value had been out of date at a moment; 0.0 if it was not."""
        _, made_by = self.made[key, value]
        ends, latest = self.replacing[key]
        # The first change that began after the value was complete, by when it was complete.
        position = bisect.bisect_right(latest, made_by)
        if position == len(ends) or ends[position] >= moment:
            return 0.0
        return moment - ends[position]


def _running_latest(ends):
    """For each change in order of completion: the latest beginning of all up to it."""
    latest, best = [], float("-inf")
    for _, begin in ends:
        best = max(best, begin)
        latest.append(best)
    return latest


def test_processes_agree(settings, tmp_path):
    found = run(settings, tmp_path)
    assert all(not errors for process in found for errors in process["errors"].values())
    changes = changes_by_key(found)
    # The outcome of a load that was overtaken is not stored, so a load replaces nothing.
    replacing = {
        key: [state for state in states if state not in loads]
        for key, states in changes.items()
        for loads in [
            {(v, b, e) for p in found for k, kk, v, b, e in p["log"] if k == "loaded" and kk == key}
        ]
    }
    model = Model(replacing)
    model.made = Model(changes).made
    reads = [entry for process in found for entry in process["log"] if entry[0] == "read"]
    late = sorted(model.staleness(key, value, begin) for _, key, value, begin, _ in reads if value)
    assert len(reads) > 0.7 * PROCESSES * OPERATIONS[settings[0]]
    assert late[-1] <= BOUND + SLACK
    assert late[int(0.999 * len(late))] <= 2 * BOUND  # on two busy cores

    for key in changes:
        (final,) = {process["final"][key] for process in found}
        if final is not None:
            assert model.staleness(key, final, float("inf")) == 0.0
