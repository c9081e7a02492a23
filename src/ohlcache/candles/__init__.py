"""Candles themselves, without any I/O."""
