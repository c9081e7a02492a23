"""Libraries that we call, silent on stderr where the program has configured no logging.

What they log as a warning is counted by us, or told in an error. Without a handler :mod:`logging`
would print it all the same; what a program does configure is given it as ever.
"""

from __future__ import annotations

import logging

_NOBODY = logging.NullHandler()


def keep_quiet(library: str) -> None:
    """Leave what the library logs to the handlers of the program, if it has any."""
    logging.getLogger(library).addHandler(_NOBODY)
