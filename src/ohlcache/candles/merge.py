"""Laying new candles over old ones: the new row of an open time replaces the old one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ohlcache.candles.block import Block


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged block, how many rows are new, changed or as before, and which are not."""

    block: Block
    changes: Block
    added: int
    updated: int
    unchanged: int


def merge(old: Block, new: Block) -> Merged:
    """Both blocks (times ascending, without duplicates) as one; ``new`` wins.

    ``changes`` holds the rows of ``new`` that were not in ``old`` bit for bit. A column that
    ``new`` lacks keeps its old values.
    """
    names = tuple(dict.fromkeys((*old.names, *new.names)))
    if not len(old) or not len(new) or new.times[0] > old.times[-1]:
        block = Block.concatenate([old.with_names(names), new.with_names(names)])
        return Merged(block, new, added=len(new), updated=0, unchanged=0)
    at = np.searchsorted(old.times, new.times)
    known = at < len(old)
    known[known] = old.times[at[known]] == new.times[known]
    merged = old.with_names(names).values.copy()
    before = merged[:, at[known]]
    for row, name in enumerate(new.names):
        merged[names.index(name), at[known]] = new.values[row, known]
    differs = (merged[:, at[known]].view(np.int64) != before.view(np.int64)).any(axis=0)
    changed = ~known
    changed[known] = differs
    added = new.take(~known)
    block = _interleave(Block(old.times, merged, names), added.with_names(names))
    updated = int(differs.sum())
    unchanged = int(known.sum()) - updated
    return Merged(block, new.take(changed), len(added), updated, unchanged)


def _interleave(left: Block, right: Block) -> Block:
    if not len(right):
        return left
    both = Block.concatenate([left, right])
    return both.take(np.argsort(both.times, kind="stable"))
