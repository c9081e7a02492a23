"""What a user is told when PostgreSQL cannot be connected to, or refuses."""

from __future__ import annotations

from contextlib import ExitStack

import psycopg
import pytest

import ohlcache
from made_candles import make_block
from ohlcache.errors import InvalidArgument, OhlcacheError, StoreUnavailable
from ohlcache.postgres import explained


def _told(url):
    with pytest.raises(OhlcacheError) as caught:
        ohlcache.open(url)
    message = str(caught.value)
    assert message.isprintable()  # and so on one line
    return message


@pytest.fixture
def place(postgres_url):
    """The server and a database in it, as a URL takes them."""
    with psycopg.connect(postgres_url) as connection:
        info = connection.info
        return f"{info.host}:{info.port}/{info.dbname}"


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ("sslmode=require", ": set ssl = on at the server, or drop sslmode from the URL"),
        ("sslmode=bogus", 'invalid sslmode value: "bogus"): correct it in the URL'),
        ("connect_timeout=abc", "connect_timeout: 'abc'): correct it in the URL"),
        ("keepalives_idle=x", 'keepalives_idle"): correct it in the URL'),
        ("options=-cnone%3D1", "): correct it in the URL"),
        ("dbname=nobody%20made", ": create it with CREATE DATABASE, or correct its name"),
        ("user=nobody%20made", ": name a role in the URL that may log in"),
        ("host=nowhere.invalid&hostaddr=", ": check the host in the URL"),
    ],
)
def test_each_wrong_url_has_its_remedy(place, options, remedy):
    assert _told(f"postgresql://postgres@{place}?{options}").endswith(remedy)


@pytest.mark.parametrize("port", [0, 65536, 99999, "x"])
def test_a_port_that_cannot_be_one_is_refused_before_anything_is_tried(port):
    with pytest.raises(InvalidArgument, match="its port is no number from 1 to 65535"):
        ohlcache.open(f"postgresql://postgres@127.0.0.1:{port}/x")


def test_a_port_where_nobody_listens_has_the_general_remedy():
    told = _told("postgresql://postgres@127.0.0.1:1/x")
    assert told.endswith(": check that PostgreSQL runs, and the host, user and password in the URL")


def test_a_server_that_does_not_let_us_in_says_what_to_change(own_postgres, tmp_path):
    url = own_postgres.url
    bot = url.replace("postgres@", "bot@")
    hba = tmp_path / "pg_hba.conf"
    hba.touch()
    with psycopg.connect(url, autocommit=True) as admin, ExitStack() as used:
        admin.execute("CREATE ROLE bot LOGIN PASSWORD 'right' CONNECTION LIMIT 1")
        used.enter_context(psycopg.connect(bot))
        assert "role's limit, or close some" in _told(bot)
        used.close()
        admin.execute("REVOKE CONNECT ON DATABASE postgres FROM public")
        assert _told(bot).endswith(": GRANT CONNECT ON DATABASE to the role, or name another one")
        for entry, remedy in (
            ("hostssl all bot all trust", ": add sslmode=require to the URL, or an entry to the"),
            ("host all bot all scram-sha-256", ": check the user and password in the URL"),
        ):
            _admit(admin, entry)
            assert remedy in _told(bot.replace("bot@", "bot:SECRET@"))
            assert "SECRET" not in _told(bot.replace("bot@", "bot:SECRET@"))


def _admit(admin, entry):
    """Let the server admit the administrator, and others by one entry of its pg_hba.conf."""
    (path,) = admin.execute("SHOW hba_file").fetchone()
    lines = f"{entry}\nhost all postgres all trust\n"
    admin.execute(
        psycopg.sql.SQL("COPY (SELECT unnest(string_to_array({}, E'\\n'))) TO {}").format(
            lines, path
        )
    )
    admin.execute("SELECT pg_reload_conf()")


def test_what_a_server_says_on_several_lines_is_told_on_one(postgres_schema_url):
    with psycopg.connect(postgres_schema_url, autocommit=True) as admin:
        admin.execute("SET lock_timeout = 0")
        with pytest.raises(psycopg.Error) as caught:
            admin.execute("DO $$ BEGIN RAISE EXCEPTION E'one\\n  two' USING HINT = 'three'; END $$")
    assert str(explained("store x", caught.value)) == "store x failed: one two"


def test_a_write_that_a_trigger_refuses_is_told_on_one_line(postgres_schema_url):
    with ohlcache.open(postgres_schema_url) as md:
        with psycopg.connect(postgres_schema_url, autocommit=True) as admin:
            admin.execute(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION E'not\\nnow'; END $$"
            )
            admin.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON series "
                "FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        with pytest.raises(OhlcacheError, match="failed: not now$"):
            md.write("X", "1m", make_block(3))


def test_an_error_after_connecting_is_not_taken_for_one_of_connecting():
    lost = psycopg.OperationalError("server closed the connection unexpectedly")
    assert isinstance(explained("store x", lost), StoreUnavailable)
    assert "check that PostgreSQL runs" in str(explained("store x", lost))
