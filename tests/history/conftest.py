"""Candle stores in every database there is, empty, one for each test."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context

import psycopg
import pytest

import ohlcache

DATABASES = ["sqlite", "postgres"]
_POSTGRES_STYLE = str.maketrans({"?": "%s"})


@pytest.fixture(params=DATABASES)
def location(request, tmp_path):
    """Where an empty store is, as ``ohlcache.open`` takes it."""
    if request.param == "sqlite":
        return tmp_path / "store"
    return request.getfixturevalue("postgres_schema_url")


@pytest.fixture
def md(location):
    with ohlcache.open(location) as market_data:
        yield market_data


@pytest.fixture
def sql(location):
    """Runs a statement on the tables behind our back, and gives its rows."""

    def run(statement, *parameters):
        if isinstance(location, str):
            with psycopg.connect(location, autocommit=True) as connection:
                cursor = connection.execute(statement.translate(_POSTGRES_STYLE), parameters)
                return cursor.fetchall() if cursor.description else []
        with closing(sqlite3.connect(location / "ohlcache.sqlite")) as connection, connection:
            return connection.execute(statement, parameters).fetchall()

    return run


@pytest.fixture(scope="module")
def another_process():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield lambda work, *arguments: pool.submit(work, *arguments).result()
