"""The parts of ``ohlcache demo``: candles that are at hand, and measurements on them."""
