"""One logic, two doors: carrying out a walk in a thread or in an event loop.

A *walk* is a generator in which a decision is written once. It yields what it needs from outside
and is sent what that gives, or has the error thrown into it that it raised:

- a callable that blocks; under asyncio it runs in a thread,
- a future to wait for; a cancelled task leaves it alone, since others may wait for it,
- an :class:`Exchange`, I/O that has a way of its own for each kind of caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")
Outcome_co = TypeVar("Outcome_co", covariant=True)


class Exchange(Protocol[Outcome_co]):
    """I/O with one door for threads and one for event loops."""

    def run(self) -> Outcome_co:
        """Carry it out, blocking this thread."""

    async def arun(self) -> Outcome_co:
        """Carry it out in the running event loop."""


Step = Callable[[], Any] | Future[Any] | Exchange[Any]
Walk = Generator[Step, Any, Result]


def drive(walk: Walk[Result]) -> Result:
    """Carry out a walk in this thread."""
    try:
        step = next(walk)
        while True:
            try:
                if isinstance(step, Future):
                    outcome = step.result()
                elif callable(step):
                    outcome = step()
                else:
                    outcome = step.run()
            except Exception as error:  # the walk decides what it means  # noqa: BLE001
                step = walk.throw(error)
            else:
                step = walk.send(outcome)
    except StopIteration as stop:
        found: Result = stop.value
        return found
    finally:
        walk.close()


async def drive_async(walk: Walk[Result], threads: Executor | None = None) -> Result:
    """Carry out a walk in the event loop; what blocks runs in ``threads``, or the loop's own."""
    loop = asyncio.get_running_loop()
    try:
        step = next(walk)
        while True:
            try:
                if isinstance(step, Future):
                    outcome = await asyncio.shield(asyncio.wrap_future(step))
                elif callable(step):
                    outcome = await loop.run_in_executor(threads, step)
                else:
                    outcome = await step.arun()
            except Exception as error:  # the walk decides what it means  # noqa: BLE001
                step = walk.throw(error)
            else:
                step = walk.send(outcome)
    except StopIteration as stop:
        found: Result = stop.value
        return found
    finally:
        walk.close()
