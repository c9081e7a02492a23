"""What an expression for Prometheus refers to, as far as its text tells."""

from __future__ import annotations

import re
from collections import defaultdict

from every_metric import every_metric
from prometheus_client.parser import text_string_to_metric_families

from ohlcache.telemetry.export import prometheus_text

FUNCTIONS = {"delta", "histogram_quantile", "increase", "max", "min", "rate", "sum", "topk"}
FUNCTIONS |= {"vector"}
WORDS = {"and", "by", "on", "or"}
_GROUPING = re.compile(r"\b(?:by|on) ?\(([^)]*)\)")
_SELECTOR = re.compile(r"(?<![\w$])([a-zA-Z_]\w*)\b(?! *\()(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)="[^"]*"')
_CALLED = re.compile(r"(?<![\w$])([a-zA-Z_]\w*) ?\(")
_PAIRS = {")": "(", "]": "[", "}": "{"}


def exposed() -> dict[str, set[str]]:
    """The names of all samples that a process with data gives, with the names of their labels."""
    labels = defaultdict(set)
    for family in text_string_to_metric_families(prometheus_text(every_metric())):
        for sample in family.samples:
            labels[sample.name] |= set(sample.labels)
    return labels


def check(expression: str, known: dict[str, set[str]]) -> set[str]:
    """Every name exists, every label is one of the metric, brackets match. Gives the metrics."""
    check_brackets(expression)
    assert set(_CALLED.findall(expression)) <= FUNCTIONS | WORDS
    grouped = {
        label
        for labels in _GROUPING.findall(expression)
        for label in labels.replace(" ", "").split(",")
        if label
    }
    names = set()
    for name, matchers in _SELECTOR.findall(_GROUPING.sub(" ", expression)):
        if name in WORDS:
            continue
        assert name in known, f"{name} in {expression}"
        assert set(_MATCHER.findall(matchers)) <= known[name], expression
        names.add(name)
    assert names, expression
    assert grouped <= set().union(*(known[name] for name in names)), expression
    return names


def check_brackets(expression: str) -> None:
    opened = []
    for character in re.sub(r'"[^"]*"', '""', expression):
        if character in _PAIRS.values():
            opened.append(character)
        elif character in _PAIRS:
            assert opened, expression
            assert opened.pop() == _PAIRS[character], expression
    assert not opened, expression
