"""The HTTP interface, as a blueprint that any Flask application can mount.

    GET /api/crypto/ohlc?symbol=BTC/USDT&timeframe=1m[&start=…&end=…&limit=…&format=…&venue=…]
    GET /healthz

Errors are JSON, ``{"error": "one line that names the parameter and the remedy"}``.
"""

from __future__ import annotations

import logging
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, request

from ohlcache.errors import (
    ChunkError,
    InvalidArgument,
    OhlcacheError,
    SourceError,
    StoreError,
    UnknownSymbol,
    UnsupportedBySource,
)
from ohlcache.history import MarketData
from ohlcache.web.freshness import cache_control, known_history
from ohlcache.web.negotiation import (
    ARROW,
    IDENTITY,
    choose_coding,
    choose_media_type,
    encode,
)
from ohlcache.web.page import Page, read_page
from ohlcache.web.query import Query, parse_query
from ohlcache.web.representation import ARROW as ARROW_KIND
from ohlcache.web.representation import fingerprint, represent

PATH = "/api/crypto/ohlc"

_LOG = logging.getLogger(__name__)
_SMALLEST_COMPRESSED = 512  # rows x columns below which it does not pay
_VARY = "Accept, Accept-Encoding"

# The first that fits decides.
_STATUS: tuple[tuple[type[OhlcacheError], int], ...] = (
    (UnknownSymbol, 404),
    (UnsupportedBySource, 400),
    (InvalidArgument, 400),
    (SourceError, 502),
    (StoreError, 503),
    (ChunkError, 503),
)


def make_blueprint(md: MarketData) -> Blueprint:
    """The routes, answered from ``md``, which must stay open as long as they are served."""
    blueprint = Blueprint("ohlcache", __name__)

    @blueprint.get(PATH)
    def ohlc() -> Response:
        media_type = choose_media_type(request.accept_mimetypes)
        if media_type is None or choose_coding(request.accept_encodings) is None:
            return _refuse(406, "Accept or Accept-Encoding allow nothing that can be sent: use */*")
        query = parse_query(request.args)
        known = known_history(md, query)
        page = read_page(
            md,
            query.symbol,
            str(query.timeframe),
            query.start,
            query.end,
            limit=query.limit,
            venue=query.venue,
        )
        response = _respond(query, page, media_type)
        response.headers["Cache-Control"] = cache_control(known, query, page)
        return response

    @blueprint.get("/healthz")
    def healthz() -> Response:
        store = md.stats()["store"]
        response = jsonify(status="ok", **store)
        response.headers["Cache-Control"] = "no-store"
        return response

    blueprint.register_error_handler(OhlcacheError, _failed)
    return blueprint


def candles_url(base: str, symbol: str, timeframe: str, **more: str | int) -> str:
    """The URL of a series' candles on a server at ``base``."""
    return f"{base}{PATH}?{_encoded(symbol, timeframe, **more)}"


def _respond(query: Query, page: Page, media_type: str) -> Response:
    kind = ARROW_KIND if media_type == ARROW else query.format
    is_small = page.rows.values.size < _SMALLEST_COMPRESSED
    coding = choose_coding(request.accept_encodings, prefer_plain=is_small) or IDENTITY
    etag = fingerprint(page.rows, kind, coding)
    if request.if_none_match.contains_weak(etag):
        response = Response(status=304)
    else:
        body = encode(represent(page.rows, kind), coding)
        response = Response(body, content_type=media_type)
        if coding != IDENTITY:
            response.headers["Content-Encoding"] = coding
    response.set_etag(etag)
    response.headers["Vary"] = _VARY
    if page.next_start is not None:
        response.headers["Link"] = f'<{_next_url(query, page.next_start)}>; rel="next"'
    return response


def _next_url(query: Query, start: int) -> str:
    more = {"start": start, "end": query.end, "limit": query.limit, "venue": query.venue}
    given = {name: value for name, value in more.items() if value is not None}
    parameters = _encoded(query.symbol, str(query.timeframe), format=query.format, **given)
    return f"{request.script_root}{request.path}?{parameters}"


def _encoded(symbol: str, timeframe: str, **more: str | int) -> str:
    return urlencode({"symbol": symbol, "timeframe": timeframe, **more}, safe="/")


def _failed(error: OhlcacheError) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    if status < 500 or status == 502:
        return _refuse(status, str(error))
    # What the store says names files of this machine.
    _LOG.error("%s: %s", type(error).__name__, error)
    return _refuse(
        status, f"the store cannot answer ({type(error).__name__}): see the server's log"
    )


def _refuse(status: int, message: str) -> Response:
    response = jsonify(error=message)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = _VARY
    return response
