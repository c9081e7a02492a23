"""What single functions do to the memory of the process: see ``ohlcache.memory.profiler``."""
