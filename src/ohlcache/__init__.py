"""The performance layer for trading systems: any historical candles, from the nearest place."""
