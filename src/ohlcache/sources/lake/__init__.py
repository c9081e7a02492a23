"""Candles in a data lake: partitioned Parquet in a folder, a bucket or anything fsspec reaches."""

from __future__ import annotations

from ohlcache.sources.lake.catalogue import venue_of, venues
from ohlcache.sources.lake.source import LakeSource
from ohlcache.sources.lake.storage import Storage
from ohlcache.sources.lake.writing import LakeExport, export_series

__all__ = ["LakeExport", "LakeSource", "Storage", "export_series", "venue_of", "venues"]
