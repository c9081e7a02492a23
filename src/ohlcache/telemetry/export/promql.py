"""Charts of a metric as expressions for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence

from ohlcache.telemetry.measures import selector
from ohlcache.telemetry.metric import Metric
from ohlcache.telemetry.windows import Selection

_SINCE = "$__rate_interval"  # Grafana's: four times the scrape interval at least
_MOST_LINES = 10  # of a metric with a label that has many values
_MANY = {"series"}


def chart(selection: Selection, by: Sequence[str]) -> str:
    """The series selected, one line for each value of the labels ``by``; counters as rates."""
    metric = selection.metric
    if metric.kind == "gauge":
        return f"{metric.across}{_by(by)} ({selector(selection)})"
    rates = f"sum{_by(by)} (rate({selector(selection, '_total')}[{_SINCE}]))"
    return f"topk({_MOST_LINES}, {rates})" if _MANY.intersection(by) else rates


def quantile(selection: Selection, share: float, by: Sequence[str]) -> str:
    """The quantile of the durations selected, one line for each value of the labels ``by``."""
    rates = f"rate({selector(selection, '_bucket')}[{_SINCE}])"
    return f"histogram_quantile({share}, sum{_by(('le', *by))} ({rates}))"


def other_labels(metric: Metric, selection: Selection) -> tuple[str, ...]:
    """The labels of a metric that the selection leaves open."""
    chosen = {name for name, _ in selection.labels}
    return tuple(name for name in metric.labels if name not in chosen)


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
