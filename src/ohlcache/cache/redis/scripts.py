"""What runs inside the server: each call is atomic, and tells the other processes itself.

A message is published by the command that changes the data, so that no process can see a change
that others were not told of. Numbers are Lua doubles: exact below 2^53, which microseconds reach
in the year 2255. Stamps are compared as text of 16 digits.

The size budget: an index keeps the bytes that every value takes (``MEMORY USAGE``, and what its
entry in the index takes). Above the budget values are dropped as Redis itself would choose them:
of a random sample the quarter that was idle longest, again and again. Values that expired stay in
the index until a sample meets them; each change looks at a few, so that they stay a minor part.
"""

from __future__ import annotations

from hashlib import sha1
from typing import NamedTuple, TypeAlias

INDEX_ENTRY_BYTES = 160  # of a sorted set's node, its place in the hash table and in `expires`
RESERVED_BYTES = 1024  # for the hash and what the index takes when it is empty


Argument: TypeAlias = bytes | str | int


class Script:
    """A script under the name that the server keeps it by."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.name = sha1(self.text, usedforsecurity=False).hexdigest().encode()


class Call(NamedTuple):
    """A script with the root of a shard and its arguments."""

    script: Script
    root: bytes
    arguments: tuple[Argument, ...]

    def words(self, *, in_full: bool = False) -> tuple[Argument, ...]:
        """The command; ``in_full`` for a server that does not know the script yet."""
        start = (b"EVAL", self.script.text) if in_full else (b"EVALSHA", self.script.name)
        return (*start, 1, self.root, *self.arguments)


_STATE = """
local root = KEYS[1]
local ZERO = string.rep('0', 16)
local function stamp_of(key)  -- of what a key holds; foreign bytes count as nothing
  local head = redis.pcall('GETRANGE', key, 0, 15)
  if type(head) == 'string' and #head == 16 and not head:find('%D') then return head end
  return ZERO
end
"""

_ANNOUNCE = """
local function announce(channel, message)  -- message: {origin, shard, sequence, kind, what, of, …}
  redis.call('PUBLISH', channel, cmsgpack.pack(message))
end
"""

# origin shard channel kind budget tombstone_ms  (key stamp ttl_ms lease is_value data)…
WRITE = Script(
    _STATE
    + _ANNOUNCE
    + f"local ENTRY, RESERVED = {INDEX_ENTRY_BYTES}, {RESERVED_BYTES}"
    + """
local origin, shard, channel, kind = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local budget, tombstone_ms = tonumber(ARGV[5]), ARGV[6]
local data, lock, index, meta = root .. ':d:', root .. ':l:', root .. ':i', root .. ':m'
local known = redis.call('HMGET', meta, 'clock', 'bytes', 'sequence')
local clock, bytes = tonumber(known[1]) or 0, tonumber(known[2]) or 0
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
math.randomseed(time[1] % 1000 * 1000000 + time[2])
local message = {origin, shard, 0}
local stamps, fresh = {}, {}
local trimmed, too_large, made, is_full = 0, 0, 0, false

local function tell(what, member, stamp)
  message[#message + 1] = what
  message[#message + 1] = member
  message[#message + 1] = stamp
end

local function place(key, state, ttl)  -- false: the server has no room
  local reply
  if ttl == '' then reply = redis.pcall('SET', key, state)
  else reply = redis.pcall('SET', key, state, 'PX', ttl) end
  if not reply.err then return true end
  if not reply.err:find('OOM', 1, true) then redis.call('SET', key, state) end  -- raises it
  is_full = true
  redis.call('UNLINK', key)  -- older than what cannot be kept: nobody may read it any more
  return false
end

local function weigh(member)
  local cost = redis.call('MEMORY', 'USAGE', data .. member) + ENTRY + #member
  bytes = bytes + cost - (tonumber(redis.call('ZSCORE', index, member) or 0))
  redis.call('ZADD', index, cost, member)
end

local function unweigh(member)
  bytes = bytes - (tonumber(redis.call('ZSCORE', index, member) or 0))
  redis.call('ZREM', index, member)
end

local function any(count)
  local rank = math.random(0, count - 1)
  return redis.call('ZRANGE', index, rank, rank)[1]
end

local function is_gone(member) return redis.call('PTTL', data .. member) == -2 end

local function idleness(member)  -- the larger, the sooner to drop
  if is_gone(member) then return math.huge end
  if fresh[member] then return -1000 end
  local idle = redis.pcall('OBJECT', 'IDLETIME', data .. member)
  if type(idle) == 'number' then return idle end
  local frequency = redis.pcall('OBJECT', 'FREQ', data .. member)  -- under an LFU policy
  return type(frequency) == 'number' and -frequency or 0
end

local function drop(member)
  if not is_gone(member) then
    redis.call('UNLINK', data .. member)
    tell('x', member, '')
    trimmed = trimmed + 1
  end
  unweigh(member)
end

local function trim()
  while bytes > budget - RESERVED do
    local count = redis.call('ZCARD', index)
    if count == 0 then bytes = 0 return end
    local idle, order = {}, {}
    for _ = 1, math.min(16, 2 * count) do
      local member = any(count)
      if not idle[member] then
        idle[member] = idleness(member)
        order[#order + 1] = member
      end
    end
    table.sort(order, function(a, b) return idle[a] > idle[b] end)
    for place = 1, math.max(1, math.floor(#order / 4)) do
      if bytes <= budget - RESERVED then return end
      drop(order[place])
    end
  end
end

local function sweep(count)
  for _ = 1, count do
    local size = redis.call('ZCARD', index)
    if size == 0 then return end
    local member = any(size)
    if is_gone(member) then unweigh(member) end
  end
end

local function change(member, given, ttl, lease, is_value, value)
  local key = data .. member
  if lease ~= '' and redis.call('GET', lock .. member) ~= lease then return ZERO end
  local current = stamp_of(key)
  local stamp = given
  if given ~= ZERO then
    if given <= current then return ZERO end
  else
    stamp = string.format('%.0f', math.max(now, clock + 1, tonumber(current) + 1))
  end
  clock = math.max(clock, tonumber(stamp))
  local state, expiry = stamp, tombstone_ms
  if is_value == '1' then
    -- Where the value cannot be held, a tombstone keeps older ones away. It is itself older than
    -- the value, which other tiers may hold.
    state = string.format('%016.0f', tonumber(stamp) - 1)
    if budget > 0 and #value + 2 * #member + ENTRY + RESERVED > budget then
      too_large = too_large + 1
    elseif not is_full and place(key, stamp .. '=' .. value, ttl) then
      state = nil
    end
  end
  -- A script that has removed something may write on a full server: try a second time.
  local is_placed = not state or place(key, state, expiry) or place(key, state, expiry)
  redis.call('DEL', lock .. member)
  if is_placed then weigh(member) else unweigh(member) end
  fresh[member] = true
  made = made + 1
  tell(kind, member, stamp)
  return stamp
end

for at = 7, #ARGV, 6 do
  stamps[#stamps + 1] =
    change(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
end
if made > 0 then
  sweep(2 * made)
  if budget > 0 then trim() end
  message[3] = (tonumber(known[3]) or 0) + 1
  local reply = redis.pcall('HMSET', meta, 'clock', string.format('%.0f', clock),
    'bytes', string.format('%.0f', bytes), 'sequence', string.format('%.0f', message[3]))
  if reply.err then message[3] = 0 end  -- not counted: a message out of sequence
  announce(channel, message)
end
if is_full then
  return redis.error_reply('OOM the server has no room: raise maxmemory or lower max_size_mb')
end
return {bytes, trimmed, too_large, stamps}
"""
)

# lease lease_ms then (key, stamp up to which a value does not count)…
# Each: a value, 0 (held) or the milliseconds to wait.
CLAIM = Script(
    _STATE
    + """
local lease, lease_ms = ARGV[1], ARGV[2]
local function claim(member, useless)
  local key, lock = root .. ':d:' .. member, root .. ':l:' .. member
  local stamp = stamp_of(key)
  if stamp ~= ZERO then
    if stamp > useless and redis.call('GETRANGE', key, 16, 16) == '=' then
      return redis.call('GET', key)
    end
  elseif redis.call('EXISTS', key) == 1 then
    redis.call('UNLINK', key)  -- foreign bytes
  end
  local holder = redis.call('GET', lock)
  if holder and holder ~= lease then
    return math.max(1, redis.call('PTTL', lock))
  end
  redis.call('SET', lock, lease, 'PX', lease_ms)
  return 0
end
local claims = {}
for at = 3, #ARGV, 2 do claims[#claims + 1] = claim(ARGV[at], ARGV[at + 1]) end
return claims
"""
)

# lease_ms (0: give up) then (key lease)…
HOLD = Script(
    """
for at = 2, #ARGV, 2 do
  local lock = KEYS[1] .. ':l:' .. ARGV[at]
  if redis.call('GET', lock) == ARGV[at + 1] then
    if ARGV[1] == '0' then redis.call('DEL', lock)
    else redis.call('PEXPIRE', lock, ARGV[1]) end
  end
end
return 0
"""
)

# (name version)…   A name without a version gets the one that is offered.
VERSIONS = Script(
    """
local versions = {}
for at = 1, #ARGV, 2 do
  local key = KEYS[1] .. ':v:' .. ARGV[at]
  local version = redis.call('GET', key)
  if not version then
    version = ARGV[at + 1]
    redis.call('SET', key, version)
  end
  versions[#versions + 1] = version
end
return versions
"""
)

# origin shard channel (name version)…
BUMP = Script(
    _ANNOUNCE
    + """
local message = {ARGV[1], tonumber(ARGV[2]), 0}
for at = 4, #ARGV, 2 do
  redis.call('SET', KEYS[1] .. ':v:' .. ARGV[at], ARGV[at + 1])
  message[#message + 1] = 'b'
  message[#message + 1] = ARGV[at]
  message[#message + 1] = ARGV[at + 1]
end
message[3] = redis.call('HINCRBY', KEYS[1] .. ':m', 'sequence', 1)
announce(ARGV[3], message)
return 0
"""
)

PROBE = Script(
    """
redis.call('SET', KEYS[1] .. ':p', ARGV[1], 'PX', 1000)
return redis.call('GET', KEYS[1] .. ':p')
"""
)
