"""The board of a namespace in Redis: reports of processes, on one shard, read in one round trip.

Below the root of the first shard lie

    :r      a hash: process -> when it was posted (16 digits, microseconds), the report
    :e      a sorted set: process, by when its report ends

Times are those of the server's clock. Whoever posts removes what has ended; both keys expire with
the report that ends last.
"""

from __future__ import annotations

from ohlcache.cache.redis.conversation import Reply, Scripts
from ohlcache.cache.redis.keys import STAMP_DIGITS
from ohlcache.cache.redis.operation import Doors, Operation
from ohlcache.cache.redis.scripts import Argument, Call, Script
from ohlcache.telemetry.board import Posted

MOST_REPORTS = 512
_SHARD = 0

_NOW = """
local reports, ends = KEYS[1] .. ':r', KEYS[1] .. ':e'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(microseconds) return string.format('%016.0f', microseconds) end
"""

# process most microseconds report
_POST = Script(
    _NOW
    + """
local process, most, lasts, report = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
for _, ended in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', text(now))) do
  redis.call('HDEL', reports, ended)
  redis.call('ZREM', ends, ended)
end
if redis.call('HEXISTS', reports, process) == 0 and redis.call('HLEN', reports) >= most then
  return 0
end
redis.call('HSET', reports, process, text(now) .. report)
redis.call('ZADD', ends, text(now + lasts), process)
local last = redis.call('ZREVRANGE', ends, 0, 0, 'WITHSCORES')[2]
local left = string.format('%.0f', math.ceil((tonumber(last) - now) / 1000))
redis.call('PEXPIRE', reports, left)
redis.call('PEXPIRE', ends, left)
return 1
"""
)

# process
_WITHDRAW = Script(
    _NOW
    + """
redis.call('HDEL', reports, ARGV[1])
redis.call('ZREM', ends, ARGV[1])
return 0
"""
)

# -> the time, then each process and its report
_REPORTS = Script(
    _NOW
    + """
local found = {text(now)}
local processes = redis.call('ZRANGEBYSCORE', ends, '(' .. text(now), '+inf')
if #processes > 0 then
  for at, report in ipairs(redis.call('HMGET', reports, unpack(processes))) do
    found[#found + 1] = processes[at]
    found[#found + 1] = report
  end
end
return found
"""
)


class RedisBoard:
    """A :class:`ohlcache.telemetry.board.Board`. Raises redis.RedisError."""

    def __init__(self, doors: Doors, roots: list[bytes]) -> None:
        """roots: of the shards."""
        self._doors, self._root = doors, roots[_SHARD]
        self._lane = Scripts(_SHARD)

    def post(self, process: str, report: bytes, seconds: float) -> bool:
        """See Board."""
        return bool(self._run(_POST, process, MOST_REPORTS, round(seconds * 1e6), report))

    def withdraw(self, process: str) -> None:
        """See Board."""
        self._run(_WITHDRAW, process)

    def reports(self) -> dict[str, Posted]:
        """See Board."""
        now, *found = self._run(_REPORTS)
        return {
            process.decode(errors="replace"): _posted(raw, int(now))
            for process, raw in zip(found[::2], found[1::2], strict=True)
        }

    def _run(self, script: Script, *arguments: Argument) -> Reply:
        call = Call(script, self._root, arguments)
        return Operation(self._doors, [(self._lane, [call])], _only_reply).run()


def _posted(raw: bytes, now: int) -> Posted:
    posted, report = raw[:STAMP_DIGITS], raw[STAMP_DIGITS:]
    age = (now - int(posted)) / 1e6 if posted.isdigit() else 0.0
    return Posted(report, max(0.0, age))


def _only_reply(replies: list[list[Reply]]) -> Reply:
    return replies[0][0]
