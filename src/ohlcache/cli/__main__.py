"""``python -m ohlcache.cli`` is the ``ohlcache`` command."""

from __future__ import annotations

import sys

from ohlcache.cli import main

if __name__ == "__main__":
    sys.exit(main())
