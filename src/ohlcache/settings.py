"""The settings: one typed tree; defaults, then a YAML file, then the environment.

Environment variables are named ``OHLCACHE_`` and the path of the key with double underscores, for
example ``OHLCACHE_HISTORY__MEMORY_MB=256``. ``OHLCACHE_CONFIG`` names a YAML file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ohlcache.errors import InvalidArgument

CONFIG_VARIABLE = "OHLCACHE_CONFIG"
STORE_VARIABLE = "OHLCACHE_STORE"


class HistorySettings(BaseModel):
    """Where candles are kept and how much of them a process holds decoded.

    sessions: trading session by venue, as ``MarketData.gaps`` takes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    location: str = Field(
        default_factory=lambda: os.environ.get(STORE_VARIABLE) or str(user_data_path("ohlcache"))
    )
    memory_mb: int = Field(default=512, ge=1)
    busy_timeout_seconds: float = Field(default=30.0, ge=0)
    sessions: dict[str, str] = Field(default_factory=dict)


class Settings(BaseSettings):
    """All settings. Takes the tree as keywords: ``Settings(history={"memory_mb": 256})``."""

    model_config = SettingsConfigDict(
        env_prefix="OHLCACHE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    history: HistorySettings = Field(default_factory=HistorySettings)

    def __init__(self, **tree: Any) -> None:
        """Raises InvalidArgument, naming the key, for one that is unknown or has a wrong value."""
        try:
            super().__init__(**tree)
        except ValidationError as error:
            raise InvalidArgument(_explained(error)) from None

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
    path = os.environ.get(CONFIG_VARIABLE) if settings is None else settings
    return Settings.from_yaml(path) if path else Settings()


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    return f"setting {key} is {first.get('input')!r}: {first['msg']}"
