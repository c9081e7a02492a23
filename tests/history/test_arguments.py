"""Names of symbols, venues and snapshots: what cannot be one is refused, with the reason."""

from __future__ import annotations

import pytest

import ohlcache
from made_candles import make_block
from ohlcache.errors import InvalidArgument
from ohlcache.history.arguments import checked_name

BAD = [
    ("", "'': give a text that is not blank"),
    ("  ", "'  ': give a text that is not blank"),
    ("\n", r"'\\n': give a text that is not blank"),
    ("a\nb", r"'a\\nb', which holds a control character \('\\n'\): leave it out"),
    ("a\x00b", r"'a\\x00b', which holds a control character \('\\x00'\): leave it out"),
    ("a\x7f", r"'a\\x7f', which holds a control character"),
    ("a\u2028b", r"'a\\u2028b', which holds a line break \('\\u2028'\)"),
    ("a\ud800", r"'a\\ud800', which holds half a character \('\\ud800'\)"),
    (7, "7: give a text"),
]


@pytest.mark.parametrize(("name", "reason"), BAD)
def test_a_name_that_cannot_be_one_is_refused_with_the_reason(tmp_path, name, reason):
    block = make_block(3)
    with ohlcache.open(tmp_path) as md:
        md.write("X", "1m", block)
        for field, use in (
            ("snapshot", lambda: md.snapshot(name)),
            ("symbol", lambda: md.write(name, "1m", block)),
            ("symbol", lambda: md.candles(name, "1m")),
            ("venue", lambda: md.write("X", "1m", block, venue=name)),
        ):
            with pytest.raises(InvalidArgument, match=f"^{field} is {reason}") as refused:
                use()
            assert str(refused.value).isprintable()
        assert [info.symbol for info in md.series()] == ["X"]
        assert md.snapshots() == []


@pytest.mark.parametrize("name", ["BTC/USDT", "a b", "ключ", "深圳", "BRK.B", "a\xa0b", "é", "🚀"])
def test_names_in_any_script_are_taken(name):
    assert checked_name("symbol", name) == name
