"""Repair and what was known before: nothing is given up that can be proved, nothing is hidden."""

from __future__ import annotations

import numpy as np
import pytest

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import Block, to_block
from ohlcache.errors import StoreDamaged

BTC = ("BTC/USDT", "1m")
ROWS = 2_010
HISTORY = make_block(ROWS)
ALL = (T0, T0 + ROWS * MINUTE)
BODY, RECENT = 0, 1
HEADER, CHECKSUM = 6, -2  # places of bytes in a chunk
CHANGED = (T0 + 50 * MINUTE, T0 + 60 * MINUTE)


def source_of(block):
    return lambda symbol, timeframe, start, end: block.between(start, end)


def read(md, *range_, **options):
    return to_block(md.candles(*BTC, *range_, as_="numpy", **options))


def revised(block, first, last, seed=1):
    """The same candles with others in [first, last)."""
    values = block.values.copy()
    values[:, first:last] = make_block(len(block), seed=seed).values[:, first:last]
    return Block(block.times, values, block.names)


@pytest.fixture
def flip(sql):
    """Flips a bit of each chunk that a table holds."""

    def run(table, place=None, where="data IS NOT NULL"):
        key = {"chunk": "series, start, layer", "past_rows": "series, revision, start"}[table]
        matched = " AND ".join(f"{name} = ?" for name in key.split(", "))
        for *row, data in sql(f"SELECT {key}, data FROM {table} WHERE {where}"):
            broken = bytearray(data)
            broken[len(broken) // 2 if place is None else place] ^= 1
            sql(f"UPDATE {table} SET data = ? WHERE {matched}", bytes(broken), *row)

    return run


@pytest.fixture
def layered(location):
    """A store with a window of two layers, and a snapshot of it."""
    with ohlcache.open(location) as md:
        md.write(*BTC, HISTORY.slice(0, 2_000))
        md.write(*BTC, HISTORY.slice(2_000, ROWS))
        md.snapshot("before")
    return location


def stored(sql):
    rows = sql("SELECT start, layer, first, last, rows, data FROM chunk ORDER BY start, layer")
    return [(*row[:-1], bytes(row[-1])) for row in rows]


# -- chunks of the present -------------------------------------------------------------------------


@pytest.mark.parametrize("layers", ["layer >= 0", "layer = 0", "layer = 1"])
@pytest.mark.parametrize("place", [None, HEADER])
def test_what_the_source_proves_is_put_back_and_nothing_is_lost(layered, sql, flip, layers, place):
    sound, (epoch,) = stored(sql), sql("SELECT epoch FROM series")
    with ohlcache.open(layered, source=source_of(HISTORY)) as md:
        flip("chunk", place, layers)
        report = md.repair()
        assert report.ok
        assert len(report.refetched) == 1
        assert report.lost == ()
        assert stored(sql) == sound
        assert sql("SELECT epoch FROM series") > [epoch]  # copies of before are let go of
        assert md.verify().ok
        assert read(md).identical(HISTORY)
        assert read(md, as_of="before").identical(HISTORY)
        assert md.revisions(*BTC) == []
        md.write(*BTC, revised(HISTORY, 50, 60).slice(50, 60))
        assert [one.timestamp for one in md.revisions(*BTC)] == [*range(*CHANGED, MINUTE)]
        assert read(md, as_of="before").identical(HISTORY)


def test_columns_that_the_source_does_not_have_are_no_hindrance(location, sql, flip):
    """Of a series that was given another column since, which its older chunks do not have."""
    day = 24 * 60 * MINUTE
    trades = Block(
        HISTORY.times + 100 * day,
        np.vstack([HISTORY.values, HISTORY.values[:1]]),
        (*HISTORY.names, "trades"),
    )
    with ohlcache.open(location, source=source_of(HISTORY)) as md:
        md.write(*BTC, HISTORY)
        md.write(*BTC, trades)
        md.snapshot("before")
        sound, before = stored(sql), read(md)
        flip("chunk", where=f"last < {T0 + 50 * day}")
        report = md.repair()
        assert report.lost == ()
        assert stored(sql) == sound
        assert read(md, fetch=False).identical(before)
        assert read(md, as_of="before").identical(before)


def test_of_two_layers_only_the_one_that_cannot_be_proved_is_lost(layered, flip):
    given = revised(HISTORY, 2_005, 2_006)
    with ohlcache.open(layered, source=source_of(given)) as md:
        flip("chunk")
        report = md.repair()
        assert report.ok
        assert report.lost == (("local BTC/USDT 1m", (T0 + 2_000 * MINUTE, ALL[1])),)
        assert read(md).identical(given)
        assert read(md, ALL[0], T0 + 2_000 * MINUTE, as_of="before").identical(
            HISTORY.slice(0, 2_000)
        )
        with pytest.raises(StoreDamaged, match="is lost"):
            read(md, as_of="before")
        assert md.revisions(*BTC, end=T0 + 2_000 * MINUTE) == []
        found = md.revisions(*BTC)
        assert [one.timestamp for one in found] == given.times[2_000:].tolist()
        assert all(one.before == {} for one in found)
        assert [one.after["close"] for one in found] == given.values[3, 2_000:].tolist()


@pytest.mark.parametrize(
    ("given", "place"),
    [(revised(HISTORY, 100, 101), None), (HISTORY, CHECKSUM)],
    ids=["other rows", "the checksum itself"],
)
def test_what_cannot_be_proved_is_lost_and_said_to_be(location, flip, given, place):
    with ohlcache.open(location) as md:
        md.write(*BTC, HISTORY)
        md.write(*BTC, revised(HISTORY, 50, 60).slice(50, 60))
        md.snapshot("before")
        md.write(*BTC, HISTORY.slice(50, 60))
    with ohlcache.open(location, source=source_of(given)) as md:
        flip("chunk", place)
        report = md.repair()
        assert report.ok
        assert [series for series, _ in report.lost] == ["local BTC/USDT 1m"]
        md.write(*BTC, revised(HISTORY, 70, 71).slice(70, 71))
        with pytest.raises(StoreDamaged, match="it is lost: read another range"):
            read(md, as_of="before")
        assert read(md, *CHANGED, as_of="before").identical(revised(HISTORY, 50, 60).slice(50, 60))
        found = md.revisions(*BTC)
        lost = [one for one in found if not one.before]
        assert [one.timestamp for one in lost] == HISTORY.times.tolist()
        others = [one.timestamp for one in found if one.before]
        assert others == [*range(*CHANGED, MINUTE)] * 2 + [T0 + 70 * MINUTE]
        assert [one.after for one in found if one.before][10:20] == [{}] * 10


def test_no_more_is_lost_with_a_chunk_that_is_removed_than_its_window(location, sql):
    with ohlcache.open(location) as md:
        later = make_block(100, start=T0 + 400 * 24 * 60 * MINUTE)
        md.write(*BTC, HISTORY)
        md.write(*BTC, later)
        md.snapshot("before")
        sql("UPDATE chunk SET data = ? WHERE first = ?", b"OHLC", T0)
        md.delete(*BTC, end=later.times[0] + 1)
        assert read(md, later.times[0] - 1, as_of="before").identical(later)
        with pytest.raises(StoreDamaged, match="is lost"):
            read(md, as_of="before")
        found = md.revisions(*BTC)
        assert {*HISTORY.times.tolist()} < {one.timestamp for one in found if not one.before}
        assert [one.timestamp for one in found if one.before] == [later.times[0]]
        assert {one.after for one in found} == {None}


# -- earlier values --------------------------------------------------------------------------------


@pytest.fixture
def changed(location):
    """A store in which ten candles were changed twice, the first time after a snapshot."""
    with ohlcache.open(location) as md:
        md.write(*BTC, HISTORY)
        md.snapshot("before")
        for seed in (1, 2):
            md.write(*BTC, revised(HISTORY, 50, 60, seed).slice(50, 60))
    return location


@pytest.mark.parametrize("source", [None, source_of(HISTORY)], ids=["alone", "with a source"])
def test_damaged_earlier_values_are_marked_as_lost(changed, flip, source):
    flip("past_rows", where="revision = (SELECT min(revision) FROM past_rows WHERE rows > 0)")
    with ohlcache.open(changed, source=source) as md:
        (problem,) = md.verify().problems
        assert problem.message.startswith("earlier values of 2020-01-01T00:50Z to ")
        assert "fails its checksum: repair marks them as lost" in problem.message
        with pytest.raises(StoreDamaged, match="have repair mark"):
            md.revisions(*BTC)
        steps = []
        report = md.repair(lambda *step: steps.append(step))
        assert steps == [(1, 2), (2, 3), (3, 3)]
        assert report.ok
        assert report.lost == (("local BTC/USDT 1m", (CHANGED[0], CHANGED[1] - MINUTE + 1)),)
        assert md.verify().ok
        assert md.repair().lost == ()
        with pytest.raises(StoreDamaged, match="it is lost: read another range"):
            read(md, as_of="before")
        assert read(md, T0, CHANGED[0], as_of="before").identical(HISTORY.slice(0, 50))
        found = md.revisions(*BTC)
        times = [*range(*CHANGED, MINUTE)]
        assert [one.timestamp for one in found] == times * 2
        assert [one.before for one in found[:10]] == [{}] * 10
        assert [one.after for one in found[:10]] == [one.before for one in found[10:]]
        closes = revised(HISTORY, 50, 60, 2).values[3, 50:60].tolist()
        assert [one.after["close"] for one in found[10:]] == closes
        assert md.revisions(*BTC, end=CHANGED[0]) == []


def test_revisions_around_what_is_lost_are_what_they_were(location, sql):
    """Whichever record is lost: nothing is missing, and what is told of values is true."""
    with ohlcache.open(location) as md:
        md.write(*BTC, HISTORY)
        for first, last, seed in ((40, 60, 1), (50, 70, 2), (30, 80, 3)):
            md.write(*BTC, revised(HISTORY, first, last, seed).slice(first, last))
        md.delete(*BTC, T0 + 45 * MINUTE, T0 + 55 * MINUTE)
        whole = {(one.at, one.timestamp): one for one in md.revisions(*BTC)}
        for revision, data in sql("SELECT revision, data FROM past_rows WHERE rows > 0"):
            sql("UPDATE past_rows SET data = NULL WHERE rows > 0 AND revision = ?", revision)
            found = {(one.at, one.timestamp): one for one in md.revisions(*BTC)}
            sql("UPDATE past_rows SET data = ? WHERE rows > 0 AND revision = ?", data, revision)
            assert found.keys() >= whole.keys()
            assert any(not one.before for one in found.values())
            for at, one in found.items():
                assert one.before in ({}, getattr(whole.get(at), "before", {}))
                assert one.after == {} or one.before == {} or one == whole[at]


@pytest.mark.parametrize("damage", ["rows = 3", "rows = 0", '"end" = "end" - 300000'])
def test_a_record_that_contradicts_itself_is_lost_as_far_as_either_says(changed, sql, damage):
    sql(f"UPDATE past_rows SET {damage} WHERE rows > 0")
    with ohlcache.open(changed) as md:
        assert all("repair marks them as lost" in str(one) for one in md.verify().problems)
        assert {range_ for _, range_ in md.repair().lost} == {(CHANGED[0], CHANGED[1] - MINUTE + 1)}
        assert md.verify().ok
        for time in range(*CHANGED, MINUTE):
            with pytest.raises(StoreDamaged, match="is lost"):
                read(md, time, time + MINUTE, as_of="before")
        assert {one.timestamp for one in md.revisions(*BTC)} == {*range(*CHANGED, MINUTE)}


def test_two_records_that_claim_the_same_are_both_lost(changed, sql):
    """As when the start of one was damaged, and another one is at the true place."""
    sql("UPDATE past_rows SET start = start + 60000 WHERE rows > 0")
    sql('INSERT INTO past_rows SELECT series, revision, start - 60000, "end", 0, NULL FROM '
        "past_rows WHERE rows > 0")  # fmt: skip
    with ohlcache.open(changed) as md:
        assert len(md.repair().lost) == 2
        assert md.verify().ok
        with pytest.raises(StoreDamaged, match="is lost"):
            read(md, *CHANGED, as_of="before")


def test_values_of_a_newer_format_are_not_given_up(changed, sql):
    for revision, data in sql("SELECT revision, data FROM past_rows WHERE rows > 0"):
        newer = bytes(data[:4]) + b"\x09" + bytes(data[5:])
        sql("UPDATE past_rows SET data = ? WHERE rows > 0 AND revision = ?", newer, revision)
    with ohlcache.open(changed) as md:
        report = md.repair()
        assert report.lost == ()
        assert len(report.remaining) == 2
        assert all("upgrade ohlcache" in str(problem) for problem in report.remaining)
    assert sql("SELECT count(*) FROM past_rows WHERE rows > 0 AND data IS NULL") == [(0,)]
