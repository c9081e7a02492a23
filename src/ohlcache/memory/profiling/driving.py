"""The four kinds of functions, run with their running parts measured.

Generators and coroutines are driven as ``yield from`` does it (PEP 380), each step being a part.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import wraps
from typing import Any

from ohlcache.memory.profiling.measuring import Measuring

Function = Callable[..., Any]
Steps = Generator[Any, Any, Any] | Coroutine[Any, Any, Any]


def measured(function: Function, measuring: Measuring) -> Function:
    """A function of the same kind that does the same, and is measured."""
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, measuring)
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, measuring)
    if inspect.isgeneratorfunction(function):
        return _generator(function, measuring)
    return _plain(function, measuring)


def _plain(function: Function, measuring: Measuring) -> Function:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        part = measuring.begin()
        try:
            return function(*args, **kwargs)
        finally:
            measuring.end(part)

    return call


def _generator(function: Function, measuring: Measuring) -> Function:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from _driven(function(*args, **kwargs), measuring))

    return types.coroutine(call) if _can_be_awaited(function) else call


def _can_be_awaited(function: Function) -> bool:
    """Whether a generator function was made a coroutine function by ``types.coroutine``."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_ITERABLE_COROUTINE)


def _coroutine(function: Function, measuring: Measuring) -> Function:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await _Awaited(function(*args, **kwargs), measuring)

    return call


def _async_generator(function: Function, measuring: Measuring) -> Function:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        step = generator.asend(None)
        is_first = True
        while True:
            try:
                value = await _Awaited(step, measuring, is_call=is_first)
            except StopAsyncIteration:
                return
            is_first = False
            try:
                sent = yield value
            except GeneratorExit:
                await _Awaited(generator.aclose(), measuring, is_call=False)
                raise
            except BaseException as error:  # noqa: BLE001  # thrown in: for the generator to handle
                step = generator.athrow(error)
            else:
                step = generator.asend(sent)

    return call


class _Awaited:
    """Awaits, measured."""

    def __init__(self, steps: Any, measuring: Measuring, *, is_call: bool = True) -> None:
        self._steps = steps
        self._measuring = measuring
        self._is_call = is_call

    def __await__(self) -> Generator[Any, Any, Any]:
        return _driven(self._steps, self._measuring, is_call=self._is_call)


def _driven(
    steps: Steps, measuring: Measuring, *, is_call: bool = True
) -> Generator[Any, Any, Any]:
    step: Callable[[Any], Any] = steps.send
    argument: Any = None
    while True:
        part = measuring.begin(is_call=is_call)
        is_call = False
        try:
            value = step(argument)
        except StopIteration as done:
            return done.value
        finally:
            measuring.end(part)
        try:
            argument = yield value
        except GeneratorExit:
            _closed(steps, measuring)
            raise
        except BaseException as error:  # noqa: BLE001  # thrown in: for the function to handle
            step, argument = steps.throw, error
        else:
            step = steps.send


def _closed(steps: Steps, measuring: Measuring) -> None:
    part = measuring.begin(is_call=False)
    try:
        steps.close()
    finally:
        measuring.end(part)
