"""Names of functions: the same in every process for the same function, and for no other.

Module and qualified name say which function it is, unless it is made anew by each call of another
one, is a lambda or belongs to a script: then what it does and what it closes over count as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from ohlcache.cache.keys.code import SCRIPTS, code_content
from ohlcache.cache.keys.fingerprint import fingerprint

_LOCAL = ("<locals>", "<lambda>")

_Outer = tuple[FunctionType, ...]


def function_name(function: Callable[..., Any]) -> str:
    """The name of a function, with a digest of its content where others may have that name.

    The digest is of its code, defaults and closure as they are now, and of the script it stands
    in; global variables that it uses do not count.

    Raises TypeError if it may be one of several and has or closes over something that has no
    fingerprint, for example a connection.
    """
    module, name = _home(function), function.__qualname__
    if not _is_one_of_several(function):
        return f"{module}.{name}"
    if not isinstance(function, FunctionType):
        raise TypeError(f"{name} of {module} is no function whose code could be looked at")
    return f"{module}.{name}#{fingerprint(_content(function, ()))}"


def _home(function: Callable[..., Any]) -> str:
    return SCRIPTS[0] if function.__module__ in SCRIPTS else str(function.__module__)


def _is_one_of_several(function: Callable[..., Any]) -> bool:
    is_local = any(part in function.__qualname__ for part in _LOCAL)
    return is_local or function.__module__ is None or function.__module__ in SCRIPTS


def _content(function: FunctionType, outer: _Outer) -> list[Any]:
    """What tells a function apart; ``outer``: the functions in whose closures it was found."""
    # A decorator's wrapper and what it wraps are one: a recursive function closes over the former.
    outer = (*outer, inspect.unwrap(function))
    cells = function.__closure__ or ()
    return [
        _script(function) if function.__module__ in SCRIPTS else None,
        code_content(function.__code__),
        [_part(value, outer) for value in function.__defaults__ or ()],
        {name: _part(value, outer) for name, value in (function.__kwdefaults__ or {}).items()},
        [_cell(cell, outer) for cell in cells],
    ]


def _script(function: FunctionType) -> str:
    """Which script: scripts of the same code may use other global variables."""
    spec = function.__globals__.get("__spec__")
    return str(spec.name if spec else function.__globals__.get("__file__"))


def _cell(cell: Any, outer: _Outer) -> Any:
    try:
        content = cell.cell_contents
    except ValueError:
        return ["empty"]
    return _part(content, outer)


def _part(value: Any, outer: _Outer) -> Any:
    if isinstance(value, ModuleType):
        return ["module", value.__name__]
    if isinstance(value, FunctionType):
        wrapped = inspect.unwrap(value)
        if wrapped in outer:
            return ["outer", outer.index(wrapped)]
        if _is_one_of_several(value):
            return _content(value, outer)
    return fingerprint(value)
