"""What keeps a cached value from being changed by those who set it or got it.

Arrays are kept as read-only copies and handed out without copying. Frames are kept as copies and
handed out as shallow ones, which copy what is written to (pandas with copy-on-write, polars); where
pandas has no copy-on-write they are handed out as deep copies. Arrays and frames directly inside a
dict, list or tuple are treated the same, and the container is handed out as a new one. Everything
else is shared as it is: do not change a container or an object of your own that you got from a
cache. Objects inside an object column are shared as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ohlcache.cache.memory.entry import Entry, Reveal

_Open = Callable[[Any], Any]  # kept value -> value to hand out

_PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes))


def protect(value: Any, *, is_ours: bool = False) -> tuple[Any, Reveal | None]:
    """The value to keep, and what makes of an entry that holds it a value to hand out.

    None instead of a function: what is kept may be handed out as it is.
    is_ours: nobody else has the value, so that it need not be copied.
    """
    kept, opened = _protected(value, is_ours)
    if opened is None:
        return kept, None

    def reveal(entry: Entry) -> Any:
        return opened(entry.value)

    return kept, reveal


def _protected(value: Any, is_ours: bool) -> tuple[Any, _Open | None]:
    kind = type(value)
    if kind in _PLAIN:
        return value, None
    if kind is dict:
        return _protected_mapping(value, is_ours)
    if kind is list or kind is tuple:
        return _protected_sequence(value, is_ours)
    return _protected_leaf(value, is_ours)


def _protected_mapping(value: dict[Any, Any], is_ours: bool) -> tuple[Any, _Open | None]:
    if not _holds_leaves(value.values()):
        return value, None
    parts = {key: _protected_leaf(part, is_ours) for key, part in value.items()}
    openers = {key: opened for key, (_, opened) in parts.items() if opened is not None}

    def opened(kept: dict[Any, Any]) -> dict[Any, Any]:
        return kept | {key: open_(kept[key]) for key, open_ in openers.items()}

    return {key: part for key, (part, _) in parts.items()}, opened


def _protected_sequence(value: Any, is_ours: bool) -> tuple[Any, _Open | None]:
    if not _holds_leaves(value):
        return value, None
    kind = type(value)
    parts = [_protected_leaf(part, is_ours) for part in value]
    openers = [opened or _same for _, opened in parts]

    def opened(kept: Any) -> Any:
        return kind(open_(part) for open_, part in zip(openers, kept, strict=True))

    return kind(part for part, _ in parts), opened


def _holds_leaves(parts: Any) -> bool:
    """Whether an array or a frame may be among them; at the speed of C for plain ones."""
    return any(kind.__module__ != "builtins" for kind in set(map(type, parts)) - _PLAIN)


def _same(value: Any) -> Any:
    return value


def _protected_leaf(value: Any, is_ours: bool) -> tuple[Any, _Open | None]:
    if type(value) in _PLAIN:
        return value, None
    if (numpy := sys.modules.get("numpy")) and isinstance(value, numpy.ndarray):
        return _locked_array(value, is_ours), None
    if (pandas := sys.modules.get("pandas")) and isinstance(
        value, (pandas.DataFrame, pandas.Series)
    ):
        copies = not _copies_on_write(pandas)
        return (value if is_ours else value.copy()), (lambda kept: kept.copy(deep=copies))
    if (polars := sys.modules.get("polars")) and isinstance(
        value, (polars.DataFrame, polars.Series)
    ):
        return (value if is_ours else value.clone()), (lambda kept: kept.clone())
    return value, None


def _locked_array(value: Any, is_ours: bool) -> Any:
    """A read-only array that nobody can make writeable again: a view of a locked owner."""
    if not value.flags.writeable and _is_locked(value):
        return value
    owner = value if is_ours else value.copy()
    owner.flags.writeable = False
    return owner.view()


def _is_locked(value: Any) -> bool:
    """Whether nobody can write to the memory of a read-only array.

    The owner of memory may be made writeable again by whoever has it, so it has to be out of
    reach: a view of a read-only owner is as far as numpy lets anybody go.
    """
    base = value.base
    while base is not None and hasattr(base, "flags"):
        if base.flags.writeable:
            return False
        value, base = base, base.base
    return base is None or memoryview(base).readonly


def _copies_on_write(pandas: Any) -> bool:
    if int(pandas.__version__.partition(".")[0]) >= 3:
        return True
    return pandas.options.mode.copy_on_write is True
