"""Monitoring as an operator meets it: one call starts it, and health says what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

import ohlcache
from cache_doors import until_live, wait_until
from ohlcache.errors import InvalidArgument
from ohlcache.telemetry import prometheus_text, snapshot


def run_python(script, **environment):
    """The JSON that a script prints, run in a fresh process."""
    import os

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None


@pytest.fixture
def monitored():
    """What is started is stopped again."""
    yield
    ohlcache.stop_monitoring()


def test_health_can_be_asked_in_a_fresh_process():
    told = run_python(
        """
        import json, ohlcache
        report = ohlcache.health()
        print(json.dumps([report.score, report.rating, sorted(report.components)]))
        """
    )
    assert told == [100.0, "Excellent", ["memory"]]


def test_health_of_a_cache_that_works_and_of_one_whose_redis_is_gone(redis_server, namespace):
    server = redis_server()
    script = """
        import json, sys, time, ohlcache
        cache = ohlcache.CacheManager()
        for number in range(200):
            cache.set(number, number)
        for _ in range(20):
            for number in range(200):
                assert cache.get(number) == number
        time.sleep(0.6)
        report = ohlcache.health()
        print(json.dumps({"score": report.score, "parts": {
            name: [score, [reason.message for reason in reasons]]
            for name, (score, reasons) in report.components.items()
        }}))
    """
    settings = {
        "OHLCACHE_CACHE__L2__REDIS_URL": server.url,
        "OHLCACHE_CACHE__NAMESPACE": namespace,
    }
    well = run_python(script, **settings)
    server.kill()
    ill = run_python(script, **settings)
    assert well["score"] == 100.0
    assert well["parts"]["l2"] == [100.0, []]
    assert ill["score"] < 75
    assert "Redis is out of order" in ill["parts"]["l2"][1]
    assert ill["parts"]["l1"] == well["parts"]["l1"]


def test_started_it_watches_and_stopped_it_does_not(monitored):
    monitor = ohlcache.start_monitoring({"telemetry": {"interval_seconds": 0.1}})
    assert monitor is ohlcache.get_monitor()
    assert ohlcache.get_memory_manager().is_started
    wait_until(lambda: monitor.stats()["looks"]["count"] >= 3)
    ohlcache.stop_monitoring()
    assert not monitor.stats()["running"]
    assert not ohlcache.get_memory_manager().is_started


@pytest.mark.parametrize(
    ("telemetry", "message"),
    [
        (
            {"alerts": {"rules": [{"name": "x", "metric": "l9_hit_rate", "below": 1}]}},
            "l9_hit_rate",
        ),
        ({"alerts": {"rules": [{"name": "x", "metric": "l1_hit_rate", "above": 2}]}}, "never hold"),
        ({"alerts": {"rules": [{"name": "x", "metric": "l1_hit_rate"}]}}, "above|below"),
        ({"alerts": {"webhooks": [{"url": "ftp://x"}]}}, "http"),
        ({"interval_seconds": 0}, "interval_seconds"),
    ],
)
def test_settings_that_cannot_work_are_told_at_start(telemetry, message):
    with pytest.raises(InvalidArgument, match=message):
        ohlcache.start_monitoring({"telemetry": telemetry})


def test_a_memory_limit_below_what_is_in_use_is_told_and_nothing_blocks(monitored, caplog):
    monitor = ohlcache.start_monitoring({"memory": {"limit_mb": 10}})
    assert "limit_mb" in caplog.text
    assert monitor.health().components["memory"].score == 0
    ohlcache.start_monitoring({"memory": {}})


def test_a_default_rule_is_replaced_by_its_namesake(monitored):
    rule = {"name": "l1-slow", "metric": "l1_p99_seconds", "above": 5}
    ohlcache.start_monitoring({"telemetry": {"alerts": {"rules": [rule]}}})
    rules = ohlcache.get_monitor().stats()["alerts"]["rules"]
    ohlcache.start_monitoring({"telemetry": {"alerts": {"rules": [{**rule, "name": "mine"}]}}})
    assert ohlcache.get_monitor().stats()["alerts"]["rules"] == rules + 1
    ohlcache.start_monitoring({"telemetry": {"alerts": {"defaults": False, "rules": [rule]}}})
    assert ohlcache.get_monitor().stats()["alerts"]["rules"] == 1


def test_everything_is_in_the_texts_for_others():
    with ohlcache.CacheManager({"cache": {}}) as cache:
        cache.set("k", 1, "features")
        cache.get("k", "features")
        ohlcache.health()
        text, told = prometheus_text(), snapshot()
    assert 'ohlcache_cache_hits_total{category="features",tier="l1"} 1.0' in text
    assert "ohlcache_memory_resident_bytes " in text
    assert json.loads(json.dumps(told)) == told
    assert told["health"]["score"] == pytest.approx(ohlcache.health().score)
    assert {"at", "process", "metrics", "indicators", "health", "alerts"} == told.keys()


def test_processes_that_share_a_tier_see_each_other(redis_url, namespace, monitored):
    settings = {
        "OHLCACHE_CACHE__L2__REDIS_URL": redis_url,
        "OHLCACHE_CACHE__NAMESPACE": namespace,
        "OHLCACHE_TELEMETRY__SHARE_SECONDS": "1",
        "OHLCACHE_TELEMETRY__INTERVAL_SECONDS": "0.1",
    }
    script = """
        import sys, ohlcache
        cache = ohlcache.get_cache_manager()
        key = sys.argv[1]  # of its own: a write of the other one would cost it a hit in memory,
        while not cache.stats()["l2"]["is_live"]:  # and so would the moment from which it hears
            pass
        cache.set(key, 1)
        for _ in range(int(sys.argv[1])):
            cache.get(key)
        ohlcache.start_monitoring()
        print("ready", flush=True)
        sys.stdin.read()
        ohlcache.stop_monitoring()
    """
    import os

    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(reads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **settings},
        )
        for reads in (700, 30)
    ]
    tree = {"cache": {"l2": {"redis_url": redis_url}, "namespace": namespace}}
    try:
        for process in processes:
            assert process.stdout.readline() == b"ready\n"
        with ohlcache.CacheManager(tree) as cache:
            until_live(cache)
            fleet = ohlcache.start_monitoring({"telemetry": {"share_seconds": 1}}).fleet

            def hits():
                view = fleet.view()
                own = {one.process.pid: _hits(one.readings) for one in view.processes.values()}
                return own, _hits(view.total)

            pids = {process.pid for process in processes}
            wait_until(lambda: pids <= hits()[0].keys() and sum(hits()[0].values()) >= 730)
            by_process, together = hits()
            assert {by_process[process.pid] for process in processes} == {700, 30}
            assert together == sum(by_process.values())
            processes[0].communicate(timeout=20)
            wait_until(lambda: processes[0].pid not in hits()[0])
    finally:
        for process in processes:
            if process.poll() is None:
                process.communicate(timeout=20)


def _hits(readings):
    from ohlcache.telemetry import vocabulary as metrics

    return sum(value for labels, value in readings.of(metrics.CACHE_HITS) if labels[0] == "l1")


def test_settings_that_do_not_name_memory_leave_its_limit_alone(monitored):
    manager = ohlcache.get_memory_manager(memory_limit_mb=1500)
    ohlcache.start_monitoring({"telemetry": {"interval_seconds": 2}})
    assert manager.stats()["limit_bytes"] <= 1500 * 2**20
    ohlcache.start_monitoring({"memory": {}})
