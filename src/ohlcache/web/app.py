"""A Flask application that serves candles and nothing else."""

from __future__ import annotations

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

from ohlcache.history import MarketData
from ohlcache.web.api import make_blueprint


def create_app(market_data: MarketData) -> Flask:
    """An application that answers ``/api/crypto/ohlc`` and ``/healthz`` from ``market_data``.

    It does not close ``market_data``. All errors are JSON; what goes wrong inside is logged, not
    shown.
    """
    app = Flask("ohlcache", static_folder=None)
    app.register_blueprint(make_blueprint(market_data))
    app.register_error_handler(HTTPException, _as_json)
    return app


def _as_json(error: HTTPException) -> Response:
    response = jsonify(error=f"{error.name}: {error.description}")
    response.status_code = error.code or 500
    response.headers.extend(
        (name, value)
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    )
    return response
