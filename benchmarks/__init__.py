"""What ohlcache must reach, measured beside its peers: ``make bench``, or ``python -m benchmarks``.

One file for each question. Absolute times drift from machine to machine and from run to run, so
ours and the peer's repetitions take turns, the best of them counts, and the ratio is what matters.
"""
