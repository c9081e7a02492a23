"""Damage in the small tables: it is named, bars what it concerns and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

import ohlcache
from made_candles import MINUTE, T0, make_block
from ohlcache.candles import to_block
from ohlcache.errors import StoreDamaged, StoreReadOnly, UnknownSymbol
from ohlcache.history.tables import NAMES

MINUTES = ("P", "1m")
DAYS = ("D", "1d")
DAY = 24 * 60 * MINUTE
HISTORY = make_block(2_000)
DAILY = make_block(5, step=DAY)


@pytest.fixture
def filled(location):
    """A store with two series, a snapshot, changes since, and properties of a symbol."""
    with ohlcache.open(location) as md:
        md.write(*MINUTES, HISTORY)
        md.write(*DAYS, DAILY)
        md.set_metadata("P", {"tick_size": 0.5, "listed": "2019-01-01"})
        md.snapshot("s")
        md.write(*MINUTES, make_block(100, seed=1))
        assert md.verify().ok
    return location


@pytest.fixture
def opened(filled, sql):
    """Opens the store after a statement has damaged it."""
    stores = []

    def run(statement, *parameters):
        sql(statement, *parameters)
        stores.append(ohlcache.open(filled))
        return stores[-1]

    yield run
    for store in stores:
        store.close()


@pytest.fixture
def unchecked_sql(location, sql):
    """Runs a statement without the database seeing to its references."""
    if not isinstance(location, str):
        return sql  # SQLite does not, unless it is told to
    return lambda statement: sql(f"SET session_replication_role = replica; {statement}")


def candles(md, series, **options):
    return to_block(md.candles(*series, **options))


def only_problem(md):
    (problem,) = md.verify().problems
    assert "\n" not in str(problem)
    return str(problem)


CUT_SHORT = "UPDATE metadata SET data = substr(data, 1, 10)"


@pytest.mark.parametrize("damage", [CUT_SHORT, "UPDATE metadata SET data = '[1]'"])
def test_damaged_metadata_is_named_and_can_be_set_again(opened, damage):
    md = opened(damage)
    with pytest.raises(StoreDamaged, match="^metadata of local P is damaged.*set_metadata$"):
        md.metadata("P")
    assert "metadata of local P is damaged" in only_problem(md)
    assert candles(md, DAYS).identical(DAILY)
    assert len(candles(md, MINUTES)) == len(HISTORY)
    md.set_metadata("P", {"tick_size": 0.25})
    assert md.metadata("P") == {"tick_size": 0.25}
    assert md.verify().ok
    assert len(candles(md, MINUTES)) == len(HISTORY)


def test_coverage_that_may_rest_on_a_listing_nobody_can_read_is_taken_back(location, sql):
    asked = []

    def source(symbol, timeframe, start, end):
        asked.append((start, end))
        return HISTORY.between(start, end)

    with ohlcache.open(location, source=source) as md:
        md.set_metadata("P", {"listed": T0 + 100 * MINUTE})
        assert len(candles(md, MINUTES, start=T0, end=T0 + 200 * MINUTE)) == 100
        sql(CUT_SHORT)
        md.set_metadata("P", {"listed": T0})
        assert len(candles(md, MINUTES, start=T0, end=T0 + 200 * MINUTE)) == 200
    assert asked == [(T0 + 100 * MINUTE, T0 + 200 * MINUTE), (T0, T0 + 100 * MINUTE)]


@pytest.mark.parametrize(
    "damage",
    ["extras = '['", "extras = '5'", "extras = '[5]'", "zone = 'UTx'"],
)
def test_a_damaged_row_of_the_catalogue_bars_its_series_only(opened, damage):
    md = opened(f"UPDATE series SET {damage} WHERE symbol = 'P'")
    named = "^series local P 1m: its row in the store is damaged .*: restore the store from a copy$"
    reads = (
        md.candles,
        md.info,
        md.coverage,
        md.gaps,
        md.revisions,
        lambda *series: md.candles(*series, as_of="s"),
        lambda *series: md.write(*series, HISTORY),
    )
    for read in reads:
        with pytest.raises(StoreDamaged, match=named):
            read(*MINUTES)
    with pytest.raises(StoreDamaged, match=named):
        md.candles("P", "5m")  # is made from it
    assert only_problem(md).startswith("local P 1m: its row in the store is damaged")
    (remaining,) = md.repair().remaining
    assert remaining.series == "local P 1m"
    assert md.stats()["store"]["damaged_series"] == 1


def test_a_damaged_timeframe_bars_its_series_only(opened):
    md = opened("UPDATE series SET timeframe = '1x' WHERE symbol = 'P'")
    with pytest.raises(StoreDamaged, match="series local P 1x: .*'1x' is not known"):
        md.candles(*MINUTES)
    problems = [str(problem) for problem in md.verify().problems]
    assert problems[0].startswith("local P 1x: its row in the store is damaged")
    assert any("they are not the stored ones" in problem for problem in problems)
    assert [info.symbol for info in md.series()] == ["D"]
    assert candles(md, DAYS).identical(DAILY)
    assert candles(md, DAYS, as_of="s").identical(DAILY)


def test_a_damaged_series_is_not_asked_of_the_source(filled, sql):
    def source(*asked):
        pytest.fail(f"asked for {asked}")

    sql("UPDATE series SET extras = '[' WHERE symbol = 'P'")
    with ohlcache.open(filled, source=source) as md:
        with pytest.raises(StoreDamaged, match="local P 1m"):
            md.candles(*MINUTES, T0, T0 + 10 * DAY)
        assert candles(md, DAYS, start=T0, end=T0 + 5 * DAY).identical(DAILY)


IS_DAMAGED = "snapshot 's' is damaged: local P 1m"


@pytest.mark.parametrize(
    ("damage", "told", "listed"),
    [
        ("UPDATE snapshot SET revision = revision + 1", "fails its checksum", "2 of its series"),
        ("UPDATE snapshot SET revision = revision - 1", "fails its checksum", "2 of its series"),
        ("UPDATE snapshot SET at = at - 64", "fails its checksum", "2 of its series"),
        (
            "UPDATE snapshot_series SET rows_end = rows_end - 1024 WHERE symbol = 'P'",
            "fails its checksum",
            "1 of its series",
        ),
        (
            "UPDATE snapshot_series SET coverage_end = 0 WHERE symbol = 'P'",
            "fails its checksum",
            "1 of its series",
        ),
        (
            "UPDATE snapshot_series SET series = "
            "(SELECT id FROM series WHERE symbol = 'D') WHERE symbol = 'P'",
            "is not the stored one",
            "they are not the stored ones",
        ),
        (
            "UPDATE past_series SET revision = (SELECT max(revision) FROM past_write) "
            "WHERE series = (SELECT id FROM series WHERE symbol = 'P')",
            "is recorded as created after it",
            "they were created after it",
        ),
    ],
)
def test_a_damaged_snapshot_is_never_read(opened, damage, told, listed):
    md = opened(damage)
    with pytest.raises(StoreDamaged, match=f"^{IS_DAMAGED} ?:? {told}") as raised:
        md.candles(*MINUTES, as_of="s")
    assert "\n" not in str(raised.value)
    assert any(listed in str(problem) for problem in md.verify().problems)
    assert len(candles(md, MINUTES)) == len(HISTORY)


def test_a_snapshot_of_which_the_name_is_damaged_is_reported(filled, unchecked_sql):
    unchecked_sql("UPDATE snapshot SET name = 't'")
    with ohlcache.open(filled) as md:
        assert "there is no such snapshot" in only_problem(md)


def test_a_series_id_that_is_nobodys_is_reported(filled, unchecked_sql):
    unchecked_sql("UPDATE snapshot_series SET series = 99 WHERE symbol = 'P'")
    with ohlcache.open(filled) as md:
        with pytest.raises(StoreDamaged, match=IS_DAMAGED):
            md.candles(*MINUTES, as_of="s")
        assert "they are not the stored ones" in only_problem(md)


def test_a_store_of_before_that_cannot_be_written_is_verified_as_far_as_it_goes(
    tmp_path, monkeypatch
):
    def refuse(session):
        raise StoreReadOnly("this file may not be written")

    with ohlcache.open(tmp_path) as md:
        md.write(*MINUTES, HISTORY)
    with closing(sqlite3.connect(tmp_path / "ohlcache.sqlite")) as connection, connection:
        for table in NAMES:
            connection.execute(f"DROP TABLE {table}")
    monkeypatch.setattr("ohlcache.history.sqlite_engine.add_tables", refuse)
    with ohlcache.open(tmp_path) as md:
        report = md.verify()
        assert report.ok
        assert report.rows == len(HISTORY)


def test_a_series_that_was_deleted_is_no_damage_of_its_snapshot(filled):
    with ohlcache.open(filled) as md:
        md.delete(*MINUTES)
        assert md.verify().ok
        with pytest.raises(UnknownSymbol, match="was deleted as a whole"):
            md.candles(*MINUTES, as_of="s")
        assert candles(md, DAYS, as_of="s").identical(DAILY)


@pytest.mark.parametrize("table", ["past_rows", "past_coverage", "past_series"])
def test_records_that_belong_to_no_write_are_reported(opened, table):
    md = opened(f"UPDATE {table} SET revision = revision + 1000")
    problems = [str(problem) for problem in md.verify().problems]
    assert any(f"records in {table} of revision 10" in problem for problem in problems)


def test_damaged_coverage_is_reported_until_its_range_is_fetched_again(opened):
    md = opened("""UPDATE coverage SET "end" = "end" + 1""")
    problems = md.verify().problems
    assert [(one.series, one.range) for one in problems] == [
        ("local D 1d", (T0, T0 + 5 * DAY + 1)),
        ("local P 1m", (T0, T0 + 2_000 * MINUTE + 1)),
    ]
    assert "off the grid: delete the range" in str(problems[0])
    for series, problem in zip((DAYS, MINUTES), problems, strict=True):
        rows = md.candles(*series)
        md.delete(*series, *problem.range)
        md.write(*series, rows)
    assert md.verify().ok


def test_a_range_that_ends_between_open_times_leaves_no_coverage_off_the_grid(filled):
    with ohlcache.open(filled) as md:
        md.delete(*MINUTES, T0 + 10 * MINUTE + 1, T0 + 20 * MINUTE - 1)
        md.delete(*DAYS, T0 + DAY + 1, T0 + 2 * DAY + 1)
        assert md.verify().ok
        assert md.coverage(*MINUTES) == [
            (T0, T0 + 11 * MINUTE),
            (T0 + 20 * MINUTE, T0 + 2_000 * MINUTE),
        ]
        assert md.coverage(*DAYS) == [(T0, T0 + 2 * DAY), (T0 + 3 * DAY, T0 + 5 * DAY)]
