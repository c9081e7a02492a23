"""The settings: one typed tree; defaults, then a YAML file, then the environment.

Environment variables are named ``OHLCACHE_`` and the path of the key with double underscores, for
example ``OHLCACHE_HISTORY__MEMORY_MB=256``. ``OHLCACHE_CONFIG`` names a YAML file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from platformdirs import user_data_path
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from ohlcache.errors import InvalidArgument

_log = logging.getLogger(__name__)

CONFIG_VARIABLE = "OHLCACHE_CONFIG"
STORE_VARIABLE = "OHLCACHE_STORE"


class HistorySettings(BaseModel):
    """Where candles are kept and how much of them a process holds decoded.

    sessions: trading session by venue, as ``MarketData.gaps`` takes it.
    lease_seconds: for how long a process that died while fetching keeps others from fetching the
        same range.
    share_chunks: whether encoded candles are also kept in the Redis of ``cache.l2``; auto: where
        the store is PostgreSQL, since a local file is read faster than Redis.
    revisions_days: for how long, at least, values that were changed can still be read (``as_of``);
        None: for ever. They go with a later write, once a day has confirmed that the time is up.
        What a snapshot needs is kept until it is deleted.
    prefetch: whether what is stored next to ranges read is decoded in the background before it is
        asked for, while that turns out to be of use; "fetch": what is not stored is fetched, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    location: str = Field(
        default_factory=lambda: os.environ.get(STORE_VARIABLE) or str(user_data_path("ohlcache"))
    )
    memory_mb: int = Field(default=512, ge=1)
    busy_timeout_seconds: float = Field(default=30.0, ge=0)
    sessions: dict[str, str] = Field(default_factory=dict)
    lease_seconds: float = Field(default=5.0, ge=0.1, le=3600)
    share_chunks: Literal["auto"] | bool = "auto"
    revisions_days: float | None = Field(default=None, gt=0, le=36_525)
    prefetch: Literal["fetch"] | bool = True


LONGEST_SECONDS = 3.2e9  # a hundred years


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
CategoryName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.-]{1,100}$")]
TierName = Literal["l1", "l2", "l3"]
CompressionName = Literal["zstd", "lz4", "gzip"]


class CategorySettings(_Section):
    """How values of one category are cached.

    ttl_seconds: for how long a value is fresh; None: until it is removed.
    max_size_mb, max_entries: of the category in process memory; None: only the whole is bounded.
    compression: of values in Redis and database: true (zstd), false, or the name of a codec;
        values of fewer than ``compression_min_bytes`` and those that would not shrink by
        ``compression_min_saving`` stay as they are.
    tiers: where values are kept, of those that are configured.
    jitter: a random part of up to this share is taken off each TTL, so that values that were
        stored together do not expire together.
    stale_seconds: after its TTL a value may be served for so long while it is loaded anew in the
        background, and when loading fails. For ``get_or_load`` and ``cached`` only.
    early_refresh: how early a value that was slow to load is loaded anew in the background before
        it expires (the beta of XFetch, never more than a tenth of the TTL before); 0: not.
    negative_ttl_seconds: for how long it is remembered that a loader found nothing; 0: not.
    load_timeout_seconds: after which a loader is given up.
    priority: when memory is short, values of the category with the lowest one leave first.
    """

    ttl_seconds: float | None = Field(default=300, ge=0, le=LONGEST_SECONDS)
    max_size_mb: float | None = Field(default=None, gt=0)
    max_entries: int | None = Field(default=None, ge=1)
    compression: bool | CompressionName = True
    compression_min_bytes: int = Field(default=1024, ge=0)
    compression_min_saving: float = Field(default=0.10, ge=0, lt=1)
    tiers: tuple[TierName, ...] = ("l1", "l2", "l3")
    jitter: float = Field(default=0.0, ge=0, lt=1)
    stale_seconds: float = Field(default=0.0, ge=0, le=LONGEST_SECONDS)
    early_refresh: float = Field(default=1.0, ge=0)
    negative_ttl_seconds: float = Field(default=5.0, ge=0, le=LONGEST_SECONDS)
    load_timeout_seconds: float = Field(default=30.0, gt=0)
    priority: int = Field(default=50, ge=0, le=100)


class MemoryTierSettings(_Section):
    """Values in process memory, over all categories."""

    max_size_mb: float = Field(default=500, gt=0)
    eviction_policy: Literal["hybrid", "lru", "lfu"] = "hybrid"


class RedisTierSettings(_Section):
    """Values in Redis. timeout_seconds bounds what a request may wait for it."""

    redis_url: str = Field(repr=False)  # may hold a password
    max_size_mb: float | None = Field(default=2048, gt=0)
    timeout_seconds: float = Field(default=0.25, gt=0)


class DatabaseTierSettings(_Section):
    """Values in SQLite (``sqlite:///cache.db``) or PostgreSQL (``postgresql://…``)."""

    url: str = Field(repr=False)  # may hold a password
    max_size_mb: float | None = Field(default=4096, gt=0)
    timeout_seconds: float = Field(default=5.0, gt=0)


class CacheSettings(_Section):
    """The tiered cache. Without ``l2`` there is no Redis, without ``l3`` no database.

    namespace: caches of one namespace share values, others do not see them.
    lease_seconds: for how long a process that died while loading keeps others from loading.
    pickle_key: has values that nothing else can serialise pickled, signed with this key; everyone
        who knows the key can then run code in every process that reads the cache.
    raise_errors: errors of Redis and the database reach the caller instead of being counted only.
    """

    l1: MemoryTierSettings = Field(default_factory=MemoryTierSettings)
    l2: RedisTierSettings | None = None
    l3: DatabaseTierSettings | None = None
    categories: dict[CategoryName, CategorySettings] = Field(default_factory=dict)
    namespace: Name = "ohlcache"
    lease_seconds: float = Field(default=5.0, gt=0)
    pickle_key: SecretStr | None = Field(default=None, min_length=16)
    raise_errors: bool = False


class PoolSettings(_Section):
    """A named pool of connections. Times in seconds."""

    url: str = Field(repr=False)  # may hold a password
    min_size: int = Field(default=2, ge=0)
    max_size: int = Field(default=10, ge=1)
    max_idle_time: float = Field(default=300, gt=0)
    health_check_interval: float = Field(default=60, gt=0)


class MemorySettings(_Section):
    """The bound on the memory of the process, and at which shares of it something is done."""

    limit_mb: float = Field(default=2048, gt=0)
    warning: float = Field(default=0.80, gt=0, le=1)
    critical: float = Field(default=0.90, gt=0, le=1)
    interval_seconds: float = Field(default=10, gt=0)

    @model_validator(mode="after")
    def _marks_ascend(self) -> Self:
        if self.warning >= self.critical:
            raise ValueError(
                f"warning is {self.warning:g} and critical {self.critical:g}: give a lower warning"
            )
        return self


class WebhookSettings(_Section):
    """Where alerts are posted. secret: signs what is sent, so that the receiver can tell."""

    url: str = Field(repr=False)  # may hold a token
    secret: SecretStr | None = None
    timeout_seconds: float = Field(default=5.0, gt=0, le=60)


class AlertSettings(_Section):
    """Which alerts there are, and who is told besides the log.

    defaults: whether the rules that ohlcache comes with are in force.
    rules: more of them; one with the name of a default takes its place.
    """

    defaults: bool = True
    rules: tuple[dict[str, Any], ...] = ()
    webhooks: tuple[WebhookSettings, ...] = ()


class TelemetrySettings(_Section):
    """How often metrics are looked at, once monitoring has been started.

    share_seconds: from one report to the other processes to the next; None: nothing is shared.
    """

    interval_seconds: float = Field(default=1.0, ge=0.1, le=60)
    share_seconds: float | None = Field(default=5.0, ge=1, le=3600)
    alerts: AlertSettings = Field(default_factory=AlertSettings)


_WITHOUT_EFFECT = ("pools",)  # of this version: their room is not built yet


class Settings(BaseSettings):
    """All settings. Takes the tree as keywords: ``Settings(history={"memory_mb": 256})``."""

    model_config = SettingsConfigDict(
        env_prefix="OHLCACHE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    history: HistorySettings = Field(default_factory=HistorySettings)
    cache: CacheSettings = Field(default_factory=CacheSettings)
    pools: dict[str, PoolSettings] = Field(default_factory=dict)
    memory: MemorySettings = Field(default_factory=MemorySettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)

    def __init__(self, **tree: Any) -> None:
        """Raises InvalidArgument, naming the key, for one that is unknown or has a wrong value."""
        try:
            super().__init__(**tree)
        except ValidationError as error:
            raise InvalidArgument(_explained(error)) from None
        except SettingsError as error:
            raise InvalidArgument(
                f"environment: {error}: give lists and mappings as JSON, or use a YAML file"
            ) from None
        for section in _WITHOUT_EFFECT:
            if section in self.model_fields_set:
                _log.warning("setting %s is checked, but has no effect in this version", section)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment overrides what a file or keywords say."""
        return env_settings, init_settings

    @staticmethod
    def from_yaml(path: str | Path) -> Settings:
        """Settings of a YAML file. Raises InvalidArgument for one that cannot be read."""
        try:
            tree = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise InvalidArgument(f"settings file {path}: {reason}: give a YAML file") from None
        if not isinstance(tree, dict):
            raise InvalidArgument(f"settings file {path} holds no mapping: start with  history:")
        return Settings(**tree)


def as_settings(settings: Settings | Mapping[str, Any] | str | Path | None) -> Settings:
    """Settings from what users may give: Settings, a dict, a path, or None for the default."""
    if isinstance(settings, Settings):
        return settings
    if isinstance(settings, Mapping):
        return Settings(**settings)
    if settings is not None and not isinstance(settings, str | Path):
        raise InvalidArgument(
            f"settings is a {type(settings).__name__}: give Settings, a dict or the path of a file"
        )
    path = os.environ.get(CONFIG_VARIABLE) if settings is None else settings
    return Settings.from_yaml(path) if path else Settings()


Section = TypeVar("Section", bound=_Section)


def checked_section(kind: type[Section], where: str, fields: Mapping[str, Any]) -> Section:
    """A part of the tree from its fields. Raises InvalidArgument, naming ``where`` and the key."""
    try:
        return kind(**fields)
    except ValidationError as error:
        raise InvalidArgument(f"{where}: {_explained(error)}") from None


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    path, told = first["loc"], first["msg"]
    if str(path[-1]).startswith("literal["):  # one branch of what is a text or a bool
        path, told = path[:-1], told.replace("should be", "should be true, false or")
    key = ".".join(map(str, path))
    is_unknown = first["type"] == "extra_forbidden"
    return f"setting {key} is {_shown(key, first.get('input'), is_unknown)}: {told}"


def _shown(key: str, value: Any, is_unknown: bool) -> str:
    """The value, unless it could be, or hold, a password or a key."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    is_text = isinstance(value, str) and "://" not in value
    if is_text and not is_unknown and not key.endswith(("_key", "url")):
        return repr(value)
    return f"a {type(value).__name__} (not shown)"
