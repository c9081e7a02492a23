"""What was known when: earlier states of series, snapshots, revisions.

Candles that come as they close leave no trace here: since when they can have been known, their own
close says. Everything else (a changed candle, one that came late, coverage that came late or went,
a removal) is recorded by the write that does it as what stood there before. A state that was is the
present one, with the oldest record after it laid over each of its ranges.
"""
