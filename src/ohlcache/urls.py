"""URLs of databases as they may be shown: without the password.

What a parser makes of a URL whose password is not percent-encoded differs from parser to parser,
and their errors quote parts of it. So the password is found here without any of them: it reaches
from the first colon of the user's part to the last @.
"""

from __future__ import annotations

import re

NOT_ENCODED = (
    "its password has to be percent-encoded: %2F for /, %40 for @, %23 for #, %3F for ?, %25 for %"
)

_PASSWORD = re.compile(r"\A([a-z][a-z0-9+.-]*:/*[^:]*:)(.*)@", re.DOTALL | re.IGNORECASE)
_PASSWORD_OPTION = re.compile(r"(password=)[^&]*", re.IGNORECASE)
_SPECIAL = re.compile(r"[/?#@\[\]]|%(?![0-9a-f]{2})", re.IGNORECASE)


def masked(url: str) -> str:
    """The URL without its password, whatever its scheme."""
    return _PASSWORD_OPTION.sub(r"\1***", _PASSWORD.sub(r"\1***@", url, count=1))


def is_ambiguous(url: str) -> bool:
    """Whether its password has characters that have to be percent-encoded, and are not.

    An @ among the options of a URL without a password looks the same.
    """
    return _SPECIAL.search(_password(url)) is not None


def password_parts(url: str) -> list[str]:
    """The password, and what parsers may take for parts of a URL in it."""
    password = _password(url)
    return [password, *re.split(r"[/?#@:\[\]]", password)] if password else []


def _password(url: str) -> str:
    found = _PASSWORD.match(url)
    return found[2] if found else ""
