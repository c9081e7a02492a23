"""What functions do, as plain values: for those that their name does not tell apart."""

from __future__ import annotations

from types import CodeType
from typing import Any

# A script is __main__, and __mp_main__ in the processes that multiprocessing spawns of it.
SCRIPTS = ("__main__", "__mp_main__")


def code_content(code: CodeType) -> list[Any]:
    """What a code object does; neither where it stands nor what its variables hold."""
    constants = [code_content(one) if isinstance(one, CodeType) else one for one in code.co_consts]
    return [
        code.co_code,
        code.co_exceptiontable,
        code.co_flags,
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount],
        [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars],
        constants,
    ]
