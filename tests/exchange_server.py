"""An exchange on 127.0.0.1 that speaks the public candle interfaces of Binance and Kraken."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import numpy as np

MINUTE = 60_000
MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240,
           "6h": 360, "8h": 480, "12h": 720, "1d": 1440, "3d": 4320, "1w": 10_080}  # fmt: skip
MS = {name: minutes * MINUTE for name, minutes in MINUTES.items()}


class FakeExchange:
    """Minute candles of BTC/USDT from ``listed`` to ``now``, and a log of all requests.

    The candle of minute t opens at t / 1e9; what is in ``holes`` was never traded. Further
    answers can be put into ``faults``: (status, body) for the next request of a path.
    """

    def __init__(self, now, listed, published=None):
        """``published``: where its history ends; None: with the candle that is forming."""
        self.now = now
        self.listed = listed
        self.published = now + 1 if published is None else published
        self.holes = []
        self.most_rows = 1000
        self.newest_only = None  # how many of the newest candles are all that is given
        self.faults = {}
        self.null_at = None
        self.requests = []
        self.barrier = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def counts(self):
        return Counter(path.rsplit("/", 1)[1] for path, _ in self.requests)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def rows(self, interval):
        """[open time, price, volume] of all candles of an interval, oldest first."""
        minutes = np.arange(self.listed, self.published, MINUTE)
        for start, end in self.holes:
            minutes = minutes[(minutes < start) | (minutes >= end)]
        step = MS[interval]
        offset = 4 * 1440 * MINUTE if interval == "1w" else 0
        opens, counts = np.unique((minutes - offset) // step * step + offset, return_counts=True)
        return list(zip(opens.tolist(), (opens / 1e9).tolist(), counts.tolist(), strict=True))

    def binance_klines(self, query):
        rows = self.rows(query["interval"])
        start, end = int(query.get("startTime", 0)), int(query.get("endTime", 2**62))
        limit = min(int(query.get("limit", 500)), self.most_rows)
        if self.newest_only:
            rows = rows[-self.newest_only :][-limit:]
        else:
            rows = [row for row in rows if start <= row[0] <= end][:limit]
        return [
            [t, f"{p}", f"{p + 1}", None if t == self.null_at else f"{p - 1}", f"{p}", f"{v}",
             t + MS[query["interval"]] - 1, "0", 1, "0", "0", "0"]
            for t, p, v in rows
        ]  # fmt: skip

    def kraken_ohlc(self, query):
        interval = next(name for name, ms in MS.items() if ms == int(query["interval"]) * MINUTE)
        rows = self.rows(interval)[-720:]
        since = int(float(query.get("since", 0)))
        rows = [
            [t // 1000, f"{p}", f"{p}", f"{p}", f"{p}", f"{p}", f"{v}", 1]
            for t, p, v in rows
            if t // 1000 > since
        ]
        return {"error": [], "result": {"XXBTZUSD": rows, "last": 0}}

    def answer(self, path, query):
        if path == "/api/v3/time":
            return {"serverTime": self.now}
        if path == "/api/v3/exchangeInfo":
            return {"symbols": [self._binance_symbol("BTC"), self._binance_symbol("ETH")]}
        if path == "/api/v3/klines":
            return self.binance_klines(query)
        if path == "/0/public/Time":
            return {"error": [], "result": {"unixtime": self.now // 1000}}
        if path == "/0/public/AssetPairs":
            pair = {"altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD",
                    "pair_decimals": 1, "lot_decimals": 8, "ordermin": "0.0001",
                    "tick_size": "0.1", "status": "online"}  # fmt: skip
            return {"error": [], "result": {"XXBTZUSD": pair}}
        if path == "/0/public/Assets":
            asset = {"aclass": "currency", "decimals": 8, "display_decimals": 5}
            result = {"XXBT": {**asset, "altname": "XBT"}, "ZUSD": {**asset, "altname": "USD"}}
            return {"error": [], "result": result}
        if path == "/0/public/OHLC":
            return self.kraken_ohlc(query)
        return None

    @staticmethod
    def _binance_symbol(base):
        return {"symbol": f"{base}USDT", "status": "TRADING", "baseAsset": base,
                "quoteAsset": "USDT", "baseAssetPrecision": 8, "quotePrecision": 8,
                "isSpotTradingAllowed": True, "permissions": ["SPOT"], "permissionSets": [["SPOT"]],
                "orderTypes": ["LIMIT"], "filters": []}  # fmt: skip

    def _handler(exchange):  # noqa: N805  # the handler's own self is another one
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # the name that http.server looks for
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query))
                exchange.requests.append((parts.path, query))
                if exchange.barrier is not None and parts.path.endswith("klines"):
                    exchange.barrier.wait(20)
                faults = exchange.faults.get(parts.path.rsplit("/", 1)[1])
                status, body = faults.pop(0) if faults else (200, None)
                if body is None:
                    body = json.dumps(exchange.answer(parts.path, query))
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        return Handler
