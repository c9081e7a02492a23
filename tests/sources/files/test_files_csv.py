"""Tables of text: every layout, every way to write a time, every way to be wrong."""

import datetime as dt
import struct

import numpy as np
import pytest
from candle_files import MINUTE, START, csv_text, load, make_candles, refused, rows_of, same
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcache.candles import Block
from ohlcache.errors import InvalidArgument
from ohlcache.sources.files import read_candles

CANDLES = make_candles(500)
ROW = "100.5,101.5,99.5,100,7"
OHLC = "open,high,low,close,volume"


@pytest.fixture
def write(tmp_path):
    def write_text(text, name="candles.csv"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write_text


def one_time(path, **options):
    block = load(path, **options)
    assert block.values[:, 0].tolist() == [100.5, 101.5, 99.5, 100, 7]
    return int(block.times[0])


def at(text):
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp() * 1000)


# -- layout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", ["timestamp,open,high,low,close,volume", None])
def test_delimiters_with_and_without_header(write, delimiter, header):
    same(load(write(csv_text(CANDLES, header, delimiter))), CANDLES)


@pytest.mark.parametrize(
    "header",
    [
        "Timestamp,Open,High,Low,Close,Volume",
        "open_time,o,h,l,c,v",
        "unix,Open Price,High Price,Low Price,Close Price,Volume BTC",
        '"Date","OPEN","HIGH","LOW","CLOSE","VOL"',
        "<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>",
        ",open,high,low,close,volume",
        "ts, open , high, low, close, volume_base",
    ],
)
def test_aliases_of_the_header(write, header):
    same(load(write(csv_text(CANDLES, header))), CANDLES)


def test_any_order_of_named_columns(write):
    rows = [[v, c, o, h, lo, t] for t, o, h, lo, c, v in rows_of(CANDLES)]
    text = "volume,close,open,high,low,time\n"
    text += "\n".join(",".join(map(repr, row)) for row in rows)
    same(load(write(text)), CANDLES)


def test_columns_given_without_header(write):
    rows = [["x", t, o, c, h, lo, v, 3] for t, o, h, lo, c, v in rows_of(CANDLES)]
    path = write("\n".join(",".join(map(str, row)) for row in rows))
    names = ["_", "timestamp", "open", "close", "high", "low", "volume", "trades"]
    block = load(path, columns=names)
    assert block.names == ("open", "high", "low", "close", "volume", "trades")
    assert block.column("trades").tolist() == [3.0] * 500
    same(block.with_names(CANDLES.names), CANDLES)
    same(load(path, columns=",".join(names)), block)


def test_columns_given_replace_the_header(write):
    path = write(csv_text(CANDLES, "a,b,c,d,e,f"))
    same(load(path, columns="t,o,h,l,c,v"), CANDLES)
    refused(path, "no column for time, open", "a, b, c, d, e, f", "--columns")


def test_an_unnamed_order_that_cannot_be_right_is_refused(write):
    rows = [[t, o, c, h, lo, v] for t, o, h, lo, c, v in rows_of(CANDLES)]
    path = write("\n".join(",".join(map(repr, row)) for row in rows))
    refused(path, "does not fit", "--columns")
    same(load(path, columns="timestamp,open,close,high,low,volume"), CANDLES)


def test_unnamed_columns_of_another_number_are_refused(write):
    refused(write(f"{START},{ROW},1,2\n" * 3), "8 columns without names", "--columns")


def test_few_odd_candles_do_not_refute_the_order(write):
    values = CANDLES.values.copy()
    values[1, ::50] = values[2, ::50] - 1  # 2% of the highs
    odd = Block(CANDLES.times, values)
    same(load(write(csv_text(odd, header=None))), odd)


def test_odd_candles_at_the_very_end_do_not_refute_it(write):
    text = csv_text(make_candles(20_000), header=None)  # more than the first piece
    block = load(write(text + f"{START},2,1,0.5,1,1\n"))
    assert len(block) == 20_001


def test_extra_columns_travel_along_and_text_is_left_behind(write):
    text = f"timestamp,symbol,{OHLC},Adj Close,trades,note\n"
    text += f"{START},BTC,{ROW},1.25,12,\n{START + MINUTE},BTC,{ROW},,13,\n"
    block = load(write(text))
    assert block.names == ("open", "high", "low", "close", "volume", "Adj Close", "trades", "note")
    assert block.column("close").tolist() == [100, 100]
    assert block.column("Adj Close")[0] == 1.25
    assert np.isnan(block.column("Adj Close")[1])
    assert np.isnan(block.column("note")).all()


def test_a_named_column_of_text_is_refused(write):
    path = write(f"{START},BTC,{ROW}\n")
    columns = f"timestamp,symbol,{OHLC}"
    refused(path, "line 1", "symbol is 'BTC'", "expected a number", columns=columns)
    assert len(load(path, columns=f"timestamp,_,{OHLC}")) == 1


def test_without_volume_it_is_unknown(write):
    block = load(write(f"time,open,high,low,close\n{START},1,2,0.5,1\n"))
    assert np.isnan(block.column("volume")).all()


def test_lines_before_the_header(write):
    text = "https://www.CryptoDataDownload.com\n"
    text += "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD\n"
    text += f"1609459200,2021-01-01 00:00:00,BTC/USD,{ROW},700\n"
    block = load(write(text))
    assert block.times.tolist() == [START]
    assert block.names[5:] == ("Volume USD",)


def test_the_levels_of_yfinance(write):
    text = "Price,Close,High,Low,Open,Volume\nTicker,7203.T,7203.T,7203.T,7203.T,7203.T\n"
    text += "Date,,,,,\n2021-01-01,100,101.5,99.5,100.5,7\n"
    assert one_time(write(text)) == START


def test_empty_fields_are_nan(write):
    text = f"timestamp,{OHLC}\n{START},1,,0.5,null,\n{START + MINUTE},NaN,2,1,1,None\n"
    block = load(write(text))
    assert np.isnan(block.values[:, 0]).tolist() == [False, True, False, True, True]
    assert np.isnan(block.values[:, 1]).tolist() == [True, False, False, False, True]


def test_line_ends_blank_lines_and_bom(write):
    text = csv_text(CANDLES)
    same(load(write(text.replace("\n", "\r\n"))), CANDLES)
    same(load(write(text.replace("\n", "\n\n"))), CANDLES)
    same(load(write(text.rstrip("\n"))), CANDLES)
    same(load(write(b"\xef\xbb\xbf" + text.encode())), CANDLES)
    same(load(write(b"\xef\xbb\xbf" + csv_text(CANDLES, None).encode())), CANDLES)


def test_two_columns_of_one_name_are_refused(write):
    refused(write(f"timestamp,{OHLC},x,x\n{START},{ROW},1,2\n"), "two columns are called x")


def test_columns_option_must_make_sense(write):
    path = write(csv_text(CANDLES))
    for columns, part in [
        ("timestamp,open,high,low", "no column for close"),
        ("open,high,low,close,volume", "no column for time"),
        ([], "give names"),
        ([1, 2], "give names"),
    ]:
        with pytest.raises(InvalidArgument, match=part):
            load(path, columns=columns)


# -- times --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3, 1e6])
@pytest.mark.parametrize("unit", ["auto", "given"])
def test_epoch_units(write, scale, unit):
    raw = [int(START * scale), int((START + MINUTE) * scale)]
    path = write(f"timestamp,{OHLC}\n{raw[0]},{ROW}\n{raw[1]},{ROW}\n")
    name = {1e-3: "s", 1: "ms", 1e3: "us", 1e6: "ns"}[scale] if unit == "given" else "auto"
    assert load(path, time_unit=name).times.tolist() == [START, START + MINUTE]


@pytest.mark.parametrize("text", ["1609459200.0", "1609459200.000", "1.6094592e12", "1609459200e3"])
def test_float_epochs(write, text):
    assert one_time(write(f"timestamp,{OHLC}\n{text},{ROW}\n")) == START


def test_integer_epochs_may_turn_into_floats(write):
    text = f"timestamp,{OHLC}\n1609459200,{ROW}\n1609459260.5,{ROW}\n"
    assert load(write(text)).times.tolist() == [START, START + 60_500]


def test_times_before_1970(write):
    text = f"timestamp,{OHLC}\n-631152000000,{ROW}\n-631065600000,{ROW}\n0,{ROW}\n86400000,{ROW}\n"
    assert load(write(text)).times.tolist() == [-631152000000, -631065600000, 0, 86400000]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-01-01T10:30:00Z", "2021-01-01T10:30"),
        ("2021-01-01T10:30:00+02:00", "2021-01-01T08:30"),
        ("2021-01-01 10:30:00 +0200", "2021-01-01T08:30"),
        ("2021-01-01 10:30:00+00:00", "2021-01-01T10:30"),
        ("2021-01-01 10:30:00 UTC", "2021-01-01T10:30"),
        ("2021-01-01 10:30:00.000000", "2021-01-01T10:30"),
        ("2021-01-01 10:30:00.250", "2021-01-01T10:30:00.250"),
        ("2021-01-01 10:30", "2021-01-01T10:30"),
        ("2021-01-01", "2021-01-01"),
        ("2021/01/02 10:30:00", "2021-01-02T10:30"),
        ("2021-01-02 9:30", "2021-01-02T09:30"),
        ("2021.01.02 10:30", "2021-01-02T10:30"),
        ("2021.01.02", "2021-01-02"),
        ("20210102 103000", "2021-01-02T10:30"),
        ("20210102 10:30", "2021-01-02T10:30"),
        ("31.01.2021 10:30:00.000", "2021-01-31T10:30"),
        ("20210102", "2021-01-02"),
        ("202101021030", "2021-01-02T10:30"),
        ("20210102103059", "2021-01-02T10:30:59"),
    ],
)
def test_written_times(write, text, moment):
    assert one_time(write(f"date,{OHLC}\n{text},{ROW}\n")) == at(moment)
    assert one_time(write(f"{text},{ROW}\n")) == at(moment)


@pytest.mark.parametrize("text", ["01/02/2021", "2021-02-30", "2021-13-01", "20210230 1030"])
def test_times_that_mean_nothing_certain_are_refused(write, text):
    path = write(f"date,{OHLC}\n2021-01-01,{ROW}\n{text},{ROW}\n")
    refused(path, "line 3", text, "ISO 8601")
    refused(write(f"date,{OHLC}\n{text},{ROW}\n"), "line 2", text)


def test_digits_that_are_no_date_are_refused(write):
    path = write(f"date,{OHLC}\n20210228,{ROW}\n20210230,{ROW}\n")
    refused(path, "line 3", "20210230 is no date")


def test_date_and_time_of_day_in_two_columns(write):
    for date, clock in [
        ("2021.01.01", "10:30"),
        ("20210101", "103000"),
        ("2021-01-01", "10:30:00"),
    ]:
        rows = f"{date},{clock},{ROW}\n" * 3
        assert one_time(write(f"<DATE>,<TIME>,{OHLC}\n{rows}")) == at("2021-01-01T10:30")
        assert one_time(write(rows)) == at("2021-01-01T10:30")
        assert one_time(write(rows), columns=f"date,time,{OHLC}") == at("2021-01-01T10:30")


def test_the_layout_of_stooq(write):
    heads = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
    block = load(write(f"{heads}\nSPY.US,5,20210101,103000,{ROW},0\n"))
    assert block.times.tolist() == [at("2021-01-01T10:30")]
    assert block.extras == ("<PER>", "<OPENINT>")


def test_a_date_that_holds_the_time_too(write):
    path = write(f"date,time,{OHLC}\n2021-01-01 10:30,noon,{ROW}\n")
    assert one_time(path) == at("2021-01-01T10:30")


def test_zone_of_naive_times(write):
    text = f"date,{OHLC}\n2021-07-01 09:30:00,{ROW}\n2021-12-01 09:30:00,{ROW}\n"
    times = load(write(text), tz="America/New_York").times.tolist()
    assert times == [at("2021-07-01T13:30"), at("2021-12-01T14:30")]
    # An offset or an epoch needs no zone.
    path = write(f"date,{OHLC}\n2021-07-01T09:30:00Z,{ROW}\n")
    assert one_time(path, tz="America/New_York") == at("2021-07-01T09:30")
    assert one_time(write(f"date,{OHLC}\n{START},{ROW}\n"), tz="Asia/Tokyo") == START


@pytest.mark.parametrize(
    ("zone", "text", "what"),
    [
        ("America/New_York", "2021-11-07 01:30:00", "comes twice"),
        ("America/New_York", "2021-03-14 02:30:00", "is skipped"),
        ("Australia/Lord_Howe", "2021-04-04 01:45:00", "comes twice"),
        ("Europe/London", "2021-03-28 01:00:00", "is skipped"),
    ],
)
def test_times_that_a_clock_shows_twice_or_never(write, zone, text, what):
    path = write(f"date,{OHLC}\n2021-01-01 00:00:00,{ROW}\n\n{text},{ROW}\n")
    refused(path, "line 4", text.replace(" ", "T"), what, zone, tz=zone)


def test_unknown_zone_and_unit(write):
    path = write(csv_text(CANDLES))
    for options, part in [({"tz": "Mars/Base"}, "Mars/Base"), ({"time_unit": "h"}, "time_unit")]:
        with pytest.raises(InvalidArgument, match=part):
            load(path, **options)


@pytest.mark.parametrize(
    ("unit", "problem"),
    [
        ("s", f"time {START} in s lies outside the years 1800 to 2200"),
        ("us", f"time {START} in us would lie in early 1970"),
        ("ns", f"time {START} in ns would lie in early 1970"),
    ],
)
def test_times_in_the_wrong_unit(write, unit, problem):
    refused(write(csv_text(CANDLES)), "line 2", problem, "give --time-unit ms", time_unit=unit)


def test_seconds_read_as_milliseconds_are_refused(write):
    path = write(f"timestamp,{OHLC}\n1609459200,{ROW}\n")
    refused(path, "line 2", "early 1970", "--time-unit s", time_unit="ms")


def test_a_file_that_changes_its_unit_is_refused(write):
    for first, second in [(START, START * 1000), (START // 1000, START), (START, START // 1000)]:
        path = write(f"timestamp,{OHLC}\n{first},{ROW}\n{second},{ROW}\n")
        refused(path, "line 3", str(second), "another unit")


def test_a_fraction_of_a_millisecond_is_refused(write):
    path = write(f"timestamp,{OHLC}\n{START * 1000},{ROW}\n{START * 1000 + 1},{ROW}\n")
    refused(path, "line 3", "no whole millisecond")
    path = write(f"timestamp,{OHLC}\n2021-01-01 00:00:00.000001,{ROW}\n")
    refused(path, "line 2", "no whole millisecond")


def test_an_empty_or_foreign_time_is_refused(write):
    refused(write(f"timestamp,{OHLC}\n{START},{ROW}\n,{ROW}\n"), "line 3", "time is empty")
    refused(write(f"timestamp,{OHLC}\n{START},{ROW}\nx,{ROW}\n"), "line 3", "timestamp is 'x'")
    refused(write(f"date,{OHLC}\n2021-01-01,{ROW}\nx,{ROW}\n"), "line 3", "'x' cannot be read")
    refused(write(f"timestamp,{OHLC}\n{START}.5,{ROW}\ninf,{ROW}\n"), "line 3", "inf")
    refused(write(f"timestamp,{OHLC}\n{START},{ROW}\n{10**30},{ROW}\n"), "line 3")


# -- numbers ------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(bits=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=300))
def test_numbers_are_those_of_float(tmp_path_factory, bits):
    numbers = [struct.unpack("d", struct.pack("Q", pattern))[0] for pattern in bits]
    texts = [repr(number) for number in numbers]
    path = tmp_path_factory.mktemp("csv") / "candles.csv"
    rows = [f"{START + MINUTE * at},1,2,0.5,1,{text}" for at, text in enumerate(texts)]
    path.write_text(f"timestamp,{OHLC}\n" + "\n".join(rows) + "\n")
    expected = np.array([float(text) for text in texts])
    found = load(path).column("volume")
    assert found.view(np.int64).tolist() == expected.view(np.int64).tolist()


@pytest.mark.parametrize(
    "text",
    [
        *("-0", "-0.0", "5e-324", "1e400", "10E-617", "+1.5", " 1.5 ", "inf", "-Infinity", "1."),
        *(".5", "0.1000000000000000055511151231257827", "9007199254740993"),
        "2.2250738585072011e-308",
    ],
)
def test_odd_spellings_are_those_of_float(write, text):
    path = write(f"timestamp,{OHLC}\n{START},1,2,0.5,1,{text}\n")
    found = load(path).column("volume")
    assert found.view(np.int64).tolist() == np.array([float(text)]).view(np.int64).tolist()


@pytest.mark.parametrize("text", ["1_000", "0x10", "1d5", "abc", "1,5", "1 5", "١٢"])
def test_what_is_no_number_is_refused(write, text):
    refused(write(f'timestamp,{OHLC}\n{START},{ROW}\n{START},1,2,0.5,1,"{text}"\n'), "line 3", text)


def test_a_decimal_comma_is_refused_as_such(write):
    path = write("timestamp;open;high;low;close;volume\n" + f"{START};1,5;2,5;0,5;1,0;3,0\n" * 3)
    refused(path, "line 2", "open is '1,5', expected a number")


def test_integers_that_float64_cannot_hold_are_refused(write):
    text = f"timestamp,{OHLC},id\n{START},{ROW},9007199254740992\n"
    assert load(write(text)).column("id").tolist() == [2.0**53]
    refused(write(text + f"{START},{ROW},9007199254740993\n"), "line 3", "id", "2**53")
    assert load(write(text + f"{START},{ROW},1e300\n")).column("id")[1] == 1e300


# -- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (f"{START},1,2,3", "4 columns, expected 6 (timestamp, open, high, low, close, volume)"),
        (f"{START},1,2,0.5,1,1,9", "7 columns, expected 6"),
        (f"{START},1,2,0.5,oops,1", "close is 'oops', expected a number"),
    ],
)
def test_a_bad_row_far_down(write, bad, problem):
    lines = csv_text(make_candles(80_000)).splitlines()
    lines[69_999] = bad
    refused(write("\n".join(lines)), "line 70000", problem)


def test_a_bad_row_in_a_later_piece(write):
    candles = make_candles(300_000)
    lines = csv_text(candles).splitlines()
    lines.insert(10, "")
    lines[290_000] = "x" + lines[290_000]
    path = write("\n".join(lines))
    refused(path, "line 290001", "timestamp is 'x16")
    good = [len(block) for block in _until_error(path)]
    assert sum(good) > 100_000


def _until_error(path):
    blocks = iter(read_candles(path))
    while True:
        try:
            yield next(blocks)
        except Exception:  # noqa: BLE001
            return


def test_blocks_are_bounded_and_progress_grows(write):
    candles = make_candles(400_000)
    file = read_candles(write(csv_text(candles)))
    assert file.fraction == 0
    sizes, fractions = [], []
    for block in file:
        sizes.append(len(block))
        fractions.append(file.fraction)
    assert sum(sizes) == 400_000
    assert max(sizes) <= 500_000
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < 0.9
    assert file.fraction == 1
    same(Block.concatenate(list(file)), candles)  # read again


def test_rows_stay_as_they_are(write):
    order = np.array([3, 1, 1, 2, 0])
    shuffled = CANDLES.take(order)
    same(load(write(csv_text(shuffled))), shuffled)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"timestamp,open,high,low,close,volume\n", "no candles"),
        (b"\x00\x01\x02" * 500, "format cannot be told: give --format, one of csv, parquet"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"hello\nworld\n", "format cannot be told"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"SQLite format 3\x00", "SQLite"),
        (b"text without end " * 100_000, "no table"),
    ],
)
def test_foreign_files(write, data, problem):
    refused(write(data), problem)


def test_a_line_that_never_ends(write):
    refused(write(b"1," * 20_000_000), "does not end", format="csv", columns=f"time,{OHLC}")
