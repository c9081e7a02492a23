"""SIGKILL of writers and readers of one store, again and again, while the others go on."""

from __future__ import annotations

import ohlcache

from .accounts import Accounts, at_work, check_staleness, seconds
from .crew import Plan


def test_what_was_acknowledged_is_there_and_no_read_is_torn(location, tmp_path):
    plan = Plan(str(location), {}, str(tmp_path), seconds(6))
    with at_work(plan) as crew:
        kills = int(crew.stdout.read())
    accounts = Accounts(plan)
    check_staleness(accounts, plan)
    with ohlcache.open(location) as md:
        accounts.check_store(md)
    print(f"{kills} kills; {accounts}")
    assert min(kills, accounts.acknowledged, len(accounts.reads)) > plan.seconds
