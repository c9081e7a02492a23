"""``ohlcache metrics``: what is measured, and what monitoring systems need to show and judge it.

The numbers themselves are with the processes that run: ``/metrics`` of their HTTP server.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import click
from rich.console import Console

from ohlcache.cli.invocation import Invocation, subcommand
from ohlcache.cli.output import size, stdout, table
from ohlcache.settings import as_settings
from ohlcache.sources.files.atomic import atomic_write
from ohlcache.telemetry.export import grafana_dashboard, prometheus_rules, rule_groups
from ohlcache.telemetry.metric import Metric
from ohlcache.telemetry.process_monitor import rules_in_force
from ohlcache.telemetry.vocabulary import METRICS

_WIDE = 1_000  # columns of a file


@subcommand("metrics")
@click.argument("what", type=click.Choice(["list", "grafana", "prometheus-rules"]))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it to a file.",
)
def command(invocation: Invocation, what: str, output: Path | None) -> int | None:
    """Print metrics, a Grafana dashboard or alert rules.

    \b
    list              all metrics: kind, unit, labels, meaning
    grafana           a dashboard (JSON) to import into Grafana
    prometheus-rules  the alert rules in force (YAML) for rule_files of Prometheus
    """
    if output is not None:
        _write(output, _text(what, as_json=invocation.as_json), invocation)
    elif what == "list" and not invocation.as_json:
        _print_list(stdout())
    else:
        click.echo(_text(what, as_json=invocation.as_json), nl=False)
    return None


def _text(what: str, *, as_json: bool) -> str:
    if what == "list" and not as_json:
        text = io.StringIO()
        _print_list(Console(file=text, width=_WIDE))
        return text.getvalue()
    if what == "list":
        return _json([_described(metric) for metric in METRICS.values()])
    rules = rules_in_force(as_settings(None).telemetry.alerts)
    if what == "grafana":
        return _json(grafana_dashboard(rules))
    return _json(rule_groups(rules)) if as_json else prometheus_rules(rules)


def _json(document: object) -> str:
    return json.dumps(document, allow_nan=False, indent=2) + "\n"


def _write(path: Path, text: str, invocation: Invocation) -> None:
    written = text.encode()
    with atomic_write(path) as file:
        file.write(written)
    if invocation.as_json:
        invocation.print_json({"path": str(path), "bytes": len(written)})
    else:
        stdout().print(f"{path}: {size(len(written))}")


def _described(metric: Metric) -> dict[str, object]:
    return {
        "name": metric.name,
        "kind": metric.kind,
        "unit": metric.unit,
        "labels": list(metric.labels),
        "help": metric.help,
    }


def _print_list(console: Console) -> None:
    columns = ("metric", "kind", "unit", "labels", "meaning")
    shown = table(*columns, left=columns)
    for metric in METRICS.values():
        shown.add_row(metric.name, metric.kind, metric.unit, ", ".join(metric.labels), metric.help)
    console.print(shown)
