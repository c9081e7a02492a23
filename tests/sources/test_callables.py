"""Functions as sources: plain and async, what they return and raise, and how they end."""

import asyncio
import threading

import pandas as pd
import pytest

from ohlcache.candles.block import Block
from ohlcache.errors import InvalidArgument, SourceError
from ohlcache.sources.callables import CallableSource, as_source
from ohlcache.sources.protocol import Capabilities, Source
from ohlcache.sources.synthetic import SyntheticSource

ROWS = [[0, 1.0, 2.0, 0.5, 1.5, 10.0]]


def make(function, **options):
    return CallableSource(function, **options)


def fetch(source):
    return source.fetch("BTC/USDT", "1m", 0, 60_000)


def test_the_function_is_called_with_what_was_asked():
    calls = []
    source = make(lambda *arguments: calls.append(arguments) or ROWS)
    assert fetch(source) is ROWS
    assert calls == [("BTC/USDT", "1m", 0, 60_000)]


def test_whatever_it_returns_is_passed_on():
    frame = pd.DataFrame(ROWS)
    assert fetch(make(lambda *_: frame)) is frame


@pytest.mark.parametrize("is_async", [False, True])
def test_none_is_no_candles(is_async):
    async def none(*_):
        return None

    answer = fetch(make(none if is_async else lambda *_: None))
    assert isinstance(answer, Block)
    assert len(answer) == 0


def test_venue_capabilities_and_clock():
    capabilities = Capabilities(page_size=7)
    source = make(lambda *_: ROWS, venue="mine", capabilities=capabilities, clock=lambda: 123)
    assert source.venue == "mine"
    assert source.capabilities is capabilities
    assert source.now() == 123
    plain = make(lambda *_: ROWS)
    assert plain.venue == "local"
    assert plain.capabilities == Capabilities()
    assert plain.now() > 1_700_000_000_000
    assert isinstance(plain, Source)


class TestAsync:
    async def rows(self, *_):
        await asyncio.sleep(0)
        return ROWS

    def test_a_coroutine_function(self):
        source = make(self.rows)
        assert fetch(source) is ROWS
        source.close()

    def test_a_function_that_returns_an_awaitable(self):
        def plain(symbol, *range_):
            return self.rows(symbol, *range_)

        source = make(plain)
        assert fetch(source) is ROWS
        source.close()

    def test_within_a_running_loop(self):
        """Called from async code by mistake it blocks, but it works."""
        source = make(self.rows)

        async def main():
            return fetch(source)

        assert asyncio.run(main()) is ROWS
        source.close()

    def test_one_loop_for_all_calls(self):
        loops = set()

        async def note(*_):
            loops.add((asyncio.get_running_loop(), threading.current_thread().name))
            return ROWS

        source = make(note, venue="x")
        threads = [threading.Thread(target=fetch, args=(source,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [name for _, name in loops] == ["ohlcache-x"]
        source.close()

    def test_calls_from_several_threads_run_at_once(self):
        met = []

        async def meet(*_):
            met.append(asyncio.current_task())
            while len(met) < 2:  # waits for the other call, which only comes if both run
                await asyncio.sleep(0)
            return ROWS

        source = make(meet, capabilities=Capabilities(concurrency=2))
        threads = [threading.Thread(target=fetch, args=(source,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
        source.close()

    def test_no_thread_before_the_first_coroutine_nor_after_the_end(self):
        def alive():
            return [t for t in threading.enumerate() if t.name == "ohlcache-lazy"]

        source = make(self.rows, venue="lazy")
        assert not alive()
        fetch(source)
        assert len(alive()) == 1
        source.close()
        source.close()
        assert not alive()

    def test_closing_cancels_what_is_under_way(self):
        started, errors, cancelled = threading.Event(), [], []

        async def forever(*_):
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        source = make(forever)

        def run():
            try:
                fetch(source)
            except SourceError as error:
                errors.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        assert started.wait(20)
        source.close()
        thread.join(20)
        assert not thread.is_alive()
        assert cancelled == [True]
        assert errors == ["source 'local' was closed, or cancelled its own call: ask again"]


@pytest.mark.parametrize("is_async", [False, True])
def test_errors_go_to_the_caller_as_they_are(is_async):
    async def fail_async(*_):
        raise TimeoutError("too slow")

    def fail(*_):
        raise TimeoutError("too slow")

    source = make(fail_async if is_async else fail)
    with pytest.raises(TimeoutError, match="too slow"):
        fetch(source)
    source.close()


def test_a_closed_source_refuses():
    source = make(lambda *_: ROWS)
    source.close()
    with pytest.raises(SourceError, match="source 'local' is closed: open it again"):
        fetch(source)


class TestAsSource:
    def test_sources_pass(self):
        for source in (SyntheticSource(), make(lambda *_: ROWS)):
            assert as_source(source) is source

    def test_functions_are_wrapped(self):
        source = as_source(lambda *_: ROWS)
        assert isinstance(source, CallableSource)
        assert source.venue == "local"
        assert fetch(source) is ROWS

    def test_objects_with_a_call_are_functions(self):
        class Client:
            def __call__(self, *_):
                return ROWS

        assert fetch(as_source(Client())) is ROWS

    @pytest.mark.parametrize("thing", [None, 5, "binance", [], {"a": 1}, object()])
    def test_anything_else_is_refused(self, thing):
        with pytest.raises(InvalidArgument) as caught:
            as_source(thing)
        message = str(caught.value)
        assert message.startswith(f"source is {thing!r}: give a source (an object with venue, ")
        assert "(symbol, timeframe, start_ms, end_ms)" in message

    def test_a_class_is_not_its_object(self):
        with pytest.raises(InvalidArgument, match=r"make an object of it, SyntheticSource\(\)"):
            as_source(SyntheticSource)
        with pytest.raises(InvalidArgument, match="function is <class"):
            CallableSource(SyntheticSource)
        with pytest.raises(InvalidArgument, match="function is 5"):
            CallableSource(5)
