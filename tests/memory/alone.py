"""Tests that look at all objects of a process: run where no other test has left any."""

from __future__ import annotations

import functools
import gc
import os
import traceback


def alone(test):
    """Run a test in a forked child: without other threads, and blind to what was there before."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                gc.collect()
                gc.freeze()  # neither examined nor found any more
                test(*args, **kwargs)
            except BaseException:  # noqa: BLE001
                os.write(writing, traceback.format_exc().encode()[-60_000:])
                os._exit(1)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as said:
            failure = said.read().decode()
        assert os.waitpid(child, 0)[1] == 0, failure

    return run
