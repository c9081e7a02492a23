"""A cached method: taken from an instance or class it answers for that one."""

from __future__ import annotations

import functools
from typing import Any


class CachedMethod:
    """What stands in the class: ``invalidate`` and the rest take the instance first."""

    def __init__(self, plain: Any) -> None:
        functools.update_wrapper(self, plain)
        self._plain = plain

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it with the instance as the first argument."""
        return self._plain(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else BoundMethod(self._plain, instance)


class BoundMethod(functools.partial[Any]):
    """A cached method of one instance; made at each access, so the rest is bound when needed."""

    __slots__ = ()

    @property
    def invalidate(self) -> Any:
        """Remove the value of a call."""
        return functools.partial(self.func.invalidate, *self.args)  # type: ignore[attr-defined]

    @property
    def refresh(self) -> Any:
        """Run the method and store its value."""
        return functools.partial(self.func.refresh, *self.args)  # type: ignore[attr-defined]

    @property
    def cache_info(self) -> Any:
        """Counts of this process."""
        return self.func.cache_info  # type: ignore[attr-defined]
