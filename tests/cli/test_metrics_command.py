"""``ohlcache metrics``."""

from __future__ import annotations

import json

import pytest
import yaml
from command_line import CommandLine

from ohlcache.telemetry.default_rules import DEFAULT_RULES
from ohlcache.telemetry.export import grafana_dashboard, prometheus_rules, rule_groups
from ohlcache.telemetry.vocabulary import METRICS

RULE = {"name": "memory-high", "metric": "memory_used_ratio", "above": 0.6}


@pytest.fixture
def cli(tmp_path, capsys):
    return CommandLine(tmp_path / "store", capsys)


def test_list_shows_every_metric(cli):
    ended = cli("metrics", "list")
    assert (ended.code, ended.err) == (0, "")
    lines = {line.split()[0]: line for line in ended.out.splitlines() if line.strip()}
    for name, metric in METRICS.items():
        assert metric.help in lines[name]
        assert metric.kind in lines[name]
        assert ", ".join(metric.labels) in lines[name]


def test_list_as_json(cli):
    described = cli.json("metrics", "list")
    assert [each["name"] for each in described] == list(METRICS)
    assert described[0] == {
        "name": "ohlcache_cache_hits",
        "kind": "counter",
        "unit": "",
        "labels": ["tier", "category"],
        "help": METRICS["ohlcache_cache_hits"].help,
    }


def test_grafana_prints_the_dashboard(cli):
    for options in ((), ("--json",)):
        ended = cli("metrics", "grafana", *options)
        assert (ended.code, ended.err) == (0, "")
        assert ended.document == json.loads(json.dumps(grafana_dashboard()))


def test_prometheus_rules_prints_the_rules(cli):
    ended = cli("metrics", "prometheus-rules")
    assert (ended.code, ended.out, ended.err) == (0, prometheus_rules(), "")
    assert cli.json("metrics", "prometheus-rules") == rule_groups()


def test_rules_are_those_of_the_settings(cli, monkeypatch):
    monkeypatch.setenv("OHLCACHE_TELEMETRY__ALERTS__RULES", json.dumps([RULE]))
    (group,) = cli.json("metrics", "prometheus-rules")["groups"]
    found = {alert["alert"]: alert["expr"] for alert in group["rules"]}
    assert len(found) == len(DEFAULT_RULES)
    assert found["ohlcache-memory-high"] == "(max(ohlcache_memory_used_ratio)) > 0.6"
    steps = [
        step["value"]
        for panel in cli.json("metrics", "grafana")["panels"]
        if panel["title"] == "Memory used ratio"
        for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    ]
    assert 0.6 in steps
    assert 0.8 not in steps


def test_a_rule_that_cannot_be_used_is_told(cli, monkeypatch):
    rule = {**RULE, "metric": "memory_used"}
    monkeypatch.setenv("OHLCACHE_TELEMETRY__ALERTS__RULES", json.dumps([rule]))
    ended = cli("metrics", "prometheus-rules")
    assert (ended.code, ended.out) == (1, "")
    assert "metric 'memory_used' is not known" in ended.error


@pytest.mark.parametrize("what", ["list", "grafana", "prometheus-rules"])
def test_a_file_gets_what_would_be_printed(cli, what, tmp_path):
    path = tmp_path / "written"
    ended = cli("metrics", what, "-o", path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{path}: ")
    written = path.read_text()
    assert written == cli("metrics", what).out
    assert cli.json("metrics", what, "-o", path)["bytes"] == path.stat().st_size


def test_rules_in_a_file_can_be_read(cli, tmp_path):
    path = tmp_path / "rules.yml"
    assert cli("metrics", "prometheus-rules", "-o", path).code == 0
    assert yaml.safe_load(path.read_text()) == rule_groups()


def test_a_file_that_cannot_be_written_is_told(cli, tmp_path):
    path = tmp_path / "nowhere" / "dashboard.json"
    ended = cli("metrics", "grafana", "-o", path)
    assert (ended.code, ended.out) == (1, "")
    assert str(path) in ended.error


@pytest.mark.parametrize("arguments", [(), ("csv",)])
def test_it_must_be_said_what_is_wanted(cli, arguments):
    ended = cli("metrics", *arguments)
    assert ended.code == 2
    assert "list" in ended.error
