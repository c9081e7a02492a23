"""Running loaders: with a time limit, in threads of their own or in the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from ohlcache.errors import CacheError, InvalidArgument, LoadTimeout

_MOST_THREADS = 64
_IDLE_SECONDS = 10.0


class LoadUnderWay:
    """A call of a loader, as whatever it calls can see it.

    names: the keys of this cache; is_over: whether the loader has returned. What it left behind, a
    task for example, still sees it.
    """

    __slots__ = ("is_over", "names")

    def __init__(self, names: frozenset[tuple[int, str]]) -> None:
        self.names = names
        self.is_over = False


loading_now: contextvars.ContextVar[tuple[LoadUnderWay, ...]] = contextvars.ContextVar(
    "ohlcache_loading_now", default=()
)

BulkLoader = Callable[[list[Any]], Any]


@dataclass(frozen=True, slots=True)
class Loader:
    """A loader of many keys: texts -> mapping of what there is; a coroutine if ``is_async``."""

    call: Callable[[Sequence[str]], Any]
    is_async: bool

    @staticmethod
    def of_one(loader: Callable[..., Any], key: str) -> Loader:
        """From a loader of one value: called without arguments, or with the key if it needs one."""
        _check_callable(loader)
        arguments = (key,) if _needs_argument(loader) else ()
        if _is_async(loader):

            async def load_async(keys: Sequence[str]) -> Mapping[str, Any]:
                return {keys[0]: await loader(*arguments)}

            return Loader(load_async, is_async=True)
        return Loader(lambda keys: {keys[0]: loader(*arguments)}, is_async=False)

    @staticmethod
    def of_many(loader: BulkLoader, names: Mapping[str, Any]) -> Loader:
        """From a loader of many values by their keys; ``names``: the key of each text."""
        _check_callable(loader)
        if _is_async(loader):

            async def load_async(texts: Sequence[str]) -> Any:
                return _by_text(await loader([names[text] for text in texts]), texts, names)

            return Loader(load_async, is_async=True)
        return Loader(
            lambda texts: _by_text(loader([names[text] for text in texts]), texts, names),
            is_async=False,
        )


def _by_text(found: Any, texts: Sequence[str], names: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        raise InvalidArgument(
            f"loader gave a {type(found).__name__} for a list of keys: return a mapping of key to "
            "value"
        )
    return {text: found[names[text]] for text in texts if names[text] in found}


def _is_async(loader: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(loader) or inspect.iscoroutinefunction(
        getattr(loader, "__call__", None)  # noqa: B004  # an object with an async __call__
    )


def _check_callable(loader: Any) -> None:
    if not callable(loader):
        raise InvalidArgument(f"loader is {loader!r}: give something that can be called")


def _needs_argument(loader: Callable[..., Any]) -> bool:
    if type(loader) is FunctionType and not hasattr(loader, "__wrapped__"):  # the quick way
        return loader.__code__.co_argcount > len(loader.__defaults__ or ())
    try:
        parameters = inspect.signature(loader).parameters.values()
    except (TypeError, ValueError):  # a builtin that does not tell
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(one.kind in positional and one.default is one.empty for one in parameters)


class LoaderThreads:
    """Daemon threads for loaders that block.

    A loader that hangs cannot be stopped; when it is given up its thread no longer counts against
    the limit, so that hanging loaders never keep others from running. A loader that another loader
    waits for is not limited: all threads could be waiting.
    """

    def __init__(self, most: int = _MOST_THREADS) -> None:
        self._most = most
        self._ready = threading.Condition()
        self._queue: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads = 0
        self._idle = 0
        self._given_up: set[Future[Any]] = set()

    def submit(self, call: Callable[[], Any], *, is_awaited: bool = False) -> Future[Any]:
        """Run ``call`` in a thread, in the caller's context.

        is_awaited: by one of these threads.
        """
        future: Future[Any] = Future()
        context = contextvars.copy_context()
        with self._ready:
            add = self._queue.appendleft if is_awaited else self._queue.append
            add((future, lambda: context.run(call)))
            if self._idle >= len(self._queue):
                self._ready.notify()
            elif is_awaited or self._threads - len(self._given_up) < self._most:
                self._begin_thread(future)
        return future

    def _begin_thread(self, future: Future[Any]) -> None:
        try:
            threading.Thread(target=self._work, name="ohlcache-load", daemon=True).start()
        except RuntimeError:  # the system gives no more; others may get to it
            if not self._threads:
                future.cancel()
                raise
        else:
            self._threads += 1

    def give_up(self, future: Future[Any]) -> None:
        """Nobody waits for this one any more."""
        if future.cancel():
            return
        with self._ready:
            if not future.done():
                self._given_up.add(future)

    def _work(self) -> None:
        while True:
            with self._ready:
                self._idle += 1
                is_woken = self._ready.wait_for(lambda: self._queue, _IDLE_SECONDS)
                self._idle -= 1
                if not is_woken:
                    self._threads -= 1
                    return
                future, call = self._queue.popleft()
            self._carry_out(future, call)
            del future, call  # an idle thread must not keep what it worked on alive

    def _carry_out(self, future: Future[Any], call: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  # belongs to those who wait
            future.set_exception(error)
        with self._ready:
            self._given_up.discard(future)


@dataclass(frozen=True, slots=True)
class Loading:
    """One call of a loader; gives what it found and the seconds it took.

    Raises what the loader raises, and LoadTimeout after ``timeout`` seconds. ``names``: what
    ``loading_now`` tells whatever the loader calls, the keys of this cache. ``is_awaited``: one of
    the threads for loaders waits for it.
    """

    loader: Loader
    keys: Sequence[str]
    names: frozenset[tuple[int, str]]
    timeout: float
    threads: LoaderThreads
    is_awaited: bool = False

    def run(self) -> tuple[Mapping[str, Any], float]:
        """Load in a thread, so that a loader that hangs does not hold the caller."""
        if self.loader.is_async:
            raise self._is_async()
        began = time.monotonic()
        future = self._submit()
        try:
            found = future.result(self.timeout)
        except FutureTimeoutError:
            if future.done():
                raise
            self.threads.give_up(future)
            raise self._timed_out() from None
        if any(map(inspect.isawaitable, found.values())):
            for value in found.values():
                if inspect.iscoroutine(value):
                    value.close()
            raise self._is_async()
        return found, time.monotonic() - began

    async def arun(self) -> tuple[Mapping[str, Any], float]:
        """Load in the event loop, or in a thread if the loader blocks."""
        began = time.monotonic()
        future: Future[Any] | None = None
        try:
            async with asyncio.timeout(self.timeout) as limit:
                if self.loader.is_async:
                    found = await self._acall()
                else:
                    future = self._submit()
                    found = await asyncio.wrap_future(future)
                    if any(map(inspect.isawaitable, found.values())):  # lambda: fetch(symbol)
                        found = {
                            key: await value if inspect.isawaitable(value) else value
                            for key, value in found.items()
                        }
        except TimeoutError:
            if not limit.expired():
                raise
            if future is not None:
                self.threads.give_up(future)
            raise self._timed_out() from None
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise CacheError(
                f"loading {self.keys[0]!r}: the loader awaited something that was cancelled: "
                "load again"
            ) from error
        return found, time.monotonic() - began

    def _is_async(self) -> InvalidArgument:
        return InvalidArgument(
            f"loader of {self.keys[0]!r} is async: await the method of the cache that starts with "
            "a, for example aget_or_load"
        )

    def _submit(self) -> Future[Any]:
        outer = loading_now.get()
        load = LoadUnderWay(self.names)

        def call() -> Any:
            loading_now.set((*outer, load))
            try:
                return self.loader.call(self.keys)
            finally:
                load.is_over = True

        return self.threads.submit(call, is_awaited=self.is_awaited or bool(outer))

    async def _acall(self) -> Any:
        load = LoadUnderWay(self.names)
        reset = loading_now.set((*loading_now.get(), load))
        try:
            return await self.loader.call(self.keys)
        finally:
            load.is_over = True
            loading_now.reset(reset)

    def _timed_out(self) -> LoadTimeout:
        return LoadTimeout(
            f"loading {self.keys[0]!r} took longer than load_timeout_seconds={self.timeout:g}: "
            "raise it for the category or make the loader faster"
        )
