"""The parts whose health is told, and what each has at stake."""

from __future__ import annotations

# The share of the whole health that goes with a component that is dead. Without process memory all
# is slow, without Redis the processes are on their own; when loads fail callers get errors, and a
# process without memory is killed.
STAKES: dict[str, float] = {
    "l1": 0.50,
    "l2": 0.50,
    "l3": 0.40,
    "loads": 0.80,
    "history": 0.70,
    "memory": 1.00,
    "gc": 0.30,
    "pools": 0.50,
    "queries": 0.40,
}
