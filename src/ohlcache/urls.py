"""URLs of databases as they may be shown: without the password."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?<=://)([^:/?#@]*):[^/?#]*@|((?:^|(?<=[?&]))password=)[^&]*")


def masked(url: str) -> str:
    """The URL without its password."""
    return _PASSWORD.sub(lambda found: f"{found[2]}***" if found[2] else f"{found[1]}:***@", url)
