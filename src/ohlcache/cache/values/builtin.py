"""The forms of Python's own types that msgpack does not know, or does not tell apart."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from ohlcache.cache.values.tree import TreeReader, TreeWriter, Unencodable, register

_TUPLE, _SET, _FROZENSET, _BYTEARRAY, _COMPLEX, _DECIMAL, _UUID = range(3, 10)
_DATETIME, _DATE, _TIME, _TIMEDELTA, _TIMEZONE, _ZONE = range(16, 22)


def _elements(tree: TreeWriter, value: Any) -> list[Any]:
    return tree.nodes(value)


def _datetime(tree: TreeWriter, value: datetime) -> list[Any]:
    moment = value.replace(tzinfo=None, fold=0).isoformat()
    return [moment, value.fold, _zone_of(tree, value)]


def _datetime_from(_: TreeReader, fields: list[Any]) -> datetime:
    text, fold, zone = fields
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def _time(tree: TreeWriter, value: time) -> list[Any]:
    return [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, _zone_of(tree, value)]


def _time_from(_: TreeReader, fields: list[Any]) -> time:
    text, fold, zone = fields
    return time.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def _zone_of(tree: TreeWriter, value: datetime | time) -> Any:
    try:
        return tree.node(value.tzinfo)
    except Unencodable as error:
        raise error.inside(".tzinfo") from None


def _timezone(_: TreeWriter, value: timezone) -> list[Any] | None:
    if value is UTC:
        return None
    offset = value.utcoffset(None)
    name = value.tzname(None)
    fields: list[Any] = [offset.days, offset.seconds, offset.microseconds]
    return fields if name == timezone(offset).tzname(None) else [*fields, name]


def _timezone_from(_: TreeReader, fields: list[Any] | None) -> timezone:
    if fields is None:
        return UTC
    days, seconds, microseconds, *name = fields
    return timezone(timedelta(days, seconds, microseconds), *name)


def _zone(_: TreeWriter, value: ZoneInfo) -> str:
    if value.key is None:
        raise Unencodable(ZoneInfo, "has no key")
    return value.key


register(tuple, _TUPLE, _elements, lambda _, items: tuple(items))
register(set, _SET, _elements, lambda _, items: set(items))
register(frozenset, _FROZENSET, _elements, lambda _, items: frozenset(items))
register(bytearray, _BYTEARRAY, lambda _, value: bytes(value), lambda _, data: bytearray(data))
register(complex, _COMPLEX, lambda _, value: [value.real, value.imag], lambda _, f: complex(*f))
register(Decimal, _DECIMAL, lambda _, value: str(value), lambda _, text: Decimal(text))
register(UUID, _UUID, lambda _, value: value.bytes, lambda _, data: UUID(bytes=data))
register(datetime, _DATETIME, _datetime, _datetime_from)
register(date, _DATE, lambda _, value: value.isoformat(), lambda _, t: date.fromisoformat(t))
register(time, _TIME, _time, _time_from)
register(
    timedelta,
    _TIMEDELTA,
    lambda _, value: [value.days, value.seconds, value.microseconds],
    lambda _, fields: timedelta(*fields),
)
register(timezone, _TIMEZONE, _timezone, _timezone_from)
register(ZoneInfo, _ZONE, _zone, lambda _, key: ZoneInfo(key))
