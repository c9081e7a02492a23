"""Values of any class, pickled and signed where that is switched on: end to end."""

from __future__ import annotations

import pytest

from cache_doors import until_live

KEY, OTHER_KEY = "the key of one program", "the key of another one"


class Position:
    """A class that no codec knows; ``loads`` counts what was unpickled."""

    loads = 0

    def __init__(self, symbol, amount):
        self.symbol, self.amount = symbol, amount

    def __eq__(self, other):
        return vars(self) == vars(other)

    def __hash__(self):
        return hash(self.symbol)

    def __setstate__(self, state):
        type(self).loads += 1
        vars(self).update(state)


@pytest.fixture(params=["sqlite", "redis", "redis+sqlite"])
def tiers(request):
    return request.param


@pytest.fixture
def nearest(tiers):
    return "l2" if "redis" in tiers else "l3"


def test_who_knows_the_key_shares_values(make_cache, tiers, door):
    writer, reader = (make_cache(tiers, pickle_key=KEY) for _ in range(2))
    until_live(writer, reader)
    door(writer, "set", "k", {"open": [Position("BTC", 2)]})
    assert door(reader, "get", "k") == {"open": [Position("BTC", 2)]}
    assert type(door(reader, "get", "k")["open"][0]) is Position


@pytest.mark.parametrize("key", [OTHER_KEY, None])
def test_who_does_not_runs_nothing_and_sees_a_miss(make_cache, tiers, nearest, door, key):
    writer = make_cache(tiers, pickle_key=KEY)
    reader = make_cache(tiers, **({"pickle_key": key} if key else {}))
    until_live(writer, reader)
    door(writer, "set", "k", Position("BTC", 2))
    before = Position.loads
    assert door(reader, "get", "k", default="none") == "none"
    assert Position.loads == before
    stats = reader.stats()
    assert stats[nearest]["refused"] == 1
    assert stats["categories"]["default"][nearest]["refused"] == 1
    assert stats[nearest]["errors"] == {"ValueRefused": 1}
    assert door(reader, "get_or_load", "k", door.loader(lambda: "mine")) == "mine"


def test_without_a_key_such_a_value_is_not_taken(make_cache, tiers, door):
    cache = make_cache(tiers)
    with pytest.raises(TypeError, match=r"Position.*cache\.pickle_key"):
        door(cache, "set", "k", Position("BTC", 2))
    assert door(cache, "get", "k") is None


def test_plain_values_need_no_key(make_cache, tiers, door):
    writer, reader = make_cache(tiers, pickle_key=KEY), make_cache(tiers)
    until_live(writer, reader)
    door(writer, "set", "k", [1, "a"])
    assert door(reader, "get", "k") == [1, "a"]
