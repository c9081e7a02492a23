"""Forecasts of everything that windows tell enough of."""

from __future__ import annotations

from ohlcache.telemetry.outlook.forecast import Forecast
from ohlcache.telemetry.outlook.foretell import foretell
from ohlcache.telemetry.outlook.subjects import SUBJECTS, of_categories
from ohlcache.telemetry.windows import Windows


def outlook(windows: Windows) -> list[Forecast]:
    """Where memory, hit rates and latencies are going; of what is known for 20 minutes or more."""
    subjects = (*SUBJECTS, *of_categories(windows))
    forecasts = (foretell(subject, windows) for subject in subjects)
    return [forecast for forecast in forecasts if forecast is not None]
