"""What users ask of the cache, checked and put into words that its parts understand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from numbers import Real
from typing import Any

from ohlcache.cache.keys import key_text
from ohlcache.cache.links import NAMESPACE, category_name, new_version, tag_name
from ohlcache.cache.parts import Parts
from ohlcache.cache.shelves import Found, Shelf
from ohlcache.cache.walk import Loader, Order
from ohlcache.drive import Walk
from ohlcache.errors import CacheError, InvalidArgument
from ohlcache.settings import LONGEST_SECONDS

Seconds = float | timedelta | None

_LONGEST_TAG = 200


class Requests:
    """Each method gives the walk of one request; arguments are checked when the walk begins."""

    def __init__(self, parts: Parts) -> None:
        self.is_closed = False
        self._parts = parts

    def shelf(self, category: str) -> Shelf:
        """The shelf of a category. Raises InvalidArgument for an unknown one, CacheError."""
        if self.is_closed:
            raise CacheError("the cache is closed: make a new CacheManager")
        shelf = self._parts.shelves.get(category)
        if shelf is None:
            raise InvalidArgument(
                f"category {category!r} is not known: use one of "
                f"{', '.join(sorted(self._parts.shelves))}, or add it (settings cache.categories, "
                "or configure_category)"
            )
        return shelf

    def get(self, key: Any, category: str, default: Any) -> Walk[Any]:
        """The value of a key that is fresh, or ``default``."""
        shelf = self.shelf(category)
        text = key_text(key)
        found = yield from self._parts.reader.read(shelf, [text])
        one = found.get(text)
        return default if one is None or not _is_fresh(one, shelf) else one.value

    def get_many(self, keys: Sequence[Any], category: str) -> Walk[dict[Any, Any]]:
        """The values of those keys that have a fresh one."""
        shelf = self.shelf(category)
        texts: dict[Any, str] = {}
        for key in _checked_keys(keys):
            texts.setdefault(key, key_text(key))
        found = yield from self._parts.reader.read(shelf, list(texts.values()))
        return {
            key: found[text].value
            for key, text in texts.items()
            if text in found and _is_fresh(found[text], shelf)
        }

    def set(
        self, mapping: Mapping[Any, Any], category: str, ttl: Seconds, tags: Iterable[str]
    ) -> Walk[None]:
        """Give keys new values; with a TTL of 0 remove them."""
        shelf = self.shelf(category)
        if not isinstance(mapping, Mapping):
            raise InvalidArgument(
                f"mapping is a {type(mapping).__name__}: give a mapping of keys to values"
            )
        seconds, names = checked_ttl(ttl, shelf), _checked_tags(tags)
        values = {key_text(key): value for key, value in mapping.items()}
        if seconds == 0:
            yield from self._parts.writer.remove(shelf, list(values))
        else:
            yield from self._parts.writer.write(shelf, values, seconds, names)

    def delete(self, keys: Iterable[Any], category: str) -> Walk[None]:
        """Remove keys."""
        yield from self._parts.writer.remove(self.shelf(category), list(map(key_text, keys)))

    def load(
        self,
        key: Any,
        loader: Callable[..., Any],
        category: str,
        ttl: Seconds,
        tags: Iterable[str],
        *,
        anew: bool = False,
    ) -> Walk[Any]:
        """The value of a key, or ABSENT; ``anew``: loaded whatever is there."""
        shelf = self.shelf(category)
        order = Order(Loader.of_one(loader, key), checked_ttl(ttl, shelf), _checked_tags(tags))
        found = yield from self._ordered(shelf, [key_text(key)], order, anew)
        (one,) = found.values()
        return one.value

    def load_many(
        self,
        keys: Iterable[Any],
        loader: Callable[[list[Any]], Any],
        category: str,
        ttl: Seconds,
        tags: Iterable[str],
        *,
        anew: bool = False,
    ) -> Walk[dict[Any, Any]]:
        """The values of those keys that have one."""
        shelf = self.shelf(category)
        texts = {key_text(key): key for key in _checked_keys(keys)}
        bulk = Loader.of_many(loader, texts)
        order = Order(bulk, checked_ttl(ttl, shelf), _checked_tags(tags))
        found = yield from self._ordered(shelf, list(texts), order, anew)
        return {texts[text]: one.value for text, one in found.items() if not one.note.is_absent}

    def _ordered(
        self, shelf: Shelf, texts: Sequence[str], order: Order, anew: bool
    ) -> Walk[dict[str, Found]]:
        loads = self._parts.loads
        if anew:
            return loads.load(shelf, texts, order, anew=True)
        return loads.get_or_load(shelf, texts, order)

    def clear(self, category: str | None) -> Walk[None]:
        """Remove all values of a category, or of all."""
        shelves = list(self._parts.shelves.values())
        name = NAMESPACE
        if category is not None:
            shelves, name = [self.shelf(category)], category_name(category)
        yield from self._bump(name)
        for shelf in shelves:
            shelf.tier.clear()

    def invalidate_tag(self, tag: str) -> Walk[None]:
        """Remove all values with a tag."""
        (name,) = map(tag_name, _checked_tags(tag))
        yield from self._bump(name)

    def _bump(self, name: str) -> Walk[None]:
        if self.is_closed:
            raise CacheError("the cache is closed: make a new CacheManager")
        self._parts.flights.detach_all()
        yield from self._parts.authority.bump({name: new_version()})


def _is_fresh(found: Found, shelf: Shelf) -> bool:
    return not found.note.is_absent and found.note.fresh_until > shelf.monotonic()


def _checked_keys(keys: Iterable[Any]) -> Iterable[Any]:
    if isinstance(keys, str | bytes):
        raise InvalidArgument(f"keys is the text {keys!r}: give a list of keys")
    return keys


def checked_ttl(ttl: Seconds, shelf: Shelf) -> float | None:
    """The seconds of a TTL as users give it; None: the category's. Raises InvalidArgument."""
    if ttl is None:
        return shelf.policy.ttl_seconds
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    number: Any = seconds  # numpy's integers are numbers too, but not to a type checker
    is_number = isinstance(number, Real) and not isinstance(number, bool)
    if not is_number or not 0 <= seconds <= LONGEST_SECONDS:
        raise InvalidArgument(
            f"ttl is {ttl!r}: give seconds from 0 to {LONGEST_SECONDS:.1e}; None is the category's"
        )
    return float(seconds)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _checked_tags(tags: str | Iterable[str]) -> tuple[str, ...]:
    if not isinstance(tags, Iterable):
        raise InvalidArgument(f"tags is {tags!r}: give a text or a list of texts")
    checked = (tags,) if isinstance(tags, str) else tuple(tags)
    for tag in checked:
        if not isinstance(tag, str) or not 0 < len(tag) <= _LONGEST_TAG or not _is_unicode(tag):
            raise InvalidArgument(f"tag is {tag!r}: give a text of 1 to {_LONGEST_TAG} characters")
    return checked
