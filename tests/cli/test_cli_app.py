"""The command line as a whole: help, options, errors, exit codes, completion."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest
from command_line import COMMAND, CommandLine, start

import ohlcache
from made_candles import make_block
from ohlcache.cli import main
from ohlcache.cli.app import COMMANDS
from ohlcache.cli.app import cli as group

HEAVY = ("numpy", "pandas", "pyarrow", "pydantic", "rich", "flask", "ohlcache.history")


@pytest.fixture
def cli(tmp_path, capsys):
    return CommandLine(tmp_path / "store", capsys)


def test_help_lists_every_command_and_imports_next_to_nothing():
    code = (
        "import sys\nfrom ohlcache.cli import main\nassert main(['--help']) == 0\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *help_lines, loaded = ended.stdout.splitlines()
    assert loaded == "[]"
    listed = {
        line.split()[0]: line for line in help_lines if line.startswith("  ") and line.split()
    }
    for name, (_, line) in COMMANDS.items():
        assert line in listed[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_loads_and_says_in_its_help_what_the_list_says(name, capsys):
    command = group.get_command(click.Context(group), name)
    assert command.name == name
    assert command.get_short_help_str(limit=200) == COMMANDS[name][1]
    assert main([name, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 0
    assert "Commands:" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ohlcache {ohlcache.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["show"], "Missing argument 'SYMBOL'"),
        (["show", "BTC/USDT"], "Missing argument 'TIMEFRAME'"),
        (["show", "BTC/USDT", "1m", "--limit", "0"], "--limit"),
        (["show", "BTC/USDT", "1m", "--nonsense"], "--nonsense"),
        (["import", "x.csv", "--timeframe", "1m"], "--symbol"),
        (["import", "x.csv", "--symbol", "A", "--timeframe", "1m", "--format", "xls"], "--format"),
        (["serve", "--port", "70000"], "--port"),
        (["completion", "powershell"], "powershell"),
    ],
)
def test_wrong_use_is_told_in_one_line_with_code_2(cli, arguments, message):
    ended = cli(*arguments)
    assert ended.code == 2
    assert message in ended.error
    assert "--help" in ended.error
    assert ended.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "NOPE", "1m"], "symbol 'NOPE' is not stored"),
        (["show", "BTC/USDT", "1x"], "timeframe '1x' is not known"),
        (["show", "BTC/USDT", "1m", "--venue", "moon"], "venue moon"),
        (["show", "BTC/USDT", "1m", "--start", "soon"], "start is 'soon'"),
        (["show", "BTC/USDT", "1m", "--start", "2020-02", "--end", "2020-01"], "is not before end"),
        (["show", "BTC/USDT", "1m", "--start", "2222-01-01"], "lies in the future"),
        (["info", "NOPE", "1m"], "symbol 'NOPE' is not stored"),
        (["gaps", "BTC/USDT", "1m", "--session", "whenever"], "session 'whenever' is not known"),
        (["delete", "NOPE", "1m", "--yes"], "symbol 'NOPE' is not stored"),
        (["delete", "BTC/USDT", "1m", "--start", "2021", "--end", "2020", "--yes"], "not before"),
        (["export", "NOPE", "1m", "-o", "x.csv"], "symbol 'NOPE' is not stored"),
        (["resample", "BTC/USDT", "1m", "--to", "7q"], "timeframe '7q' is not known"),
        (["fetch", "BTC/USDT", "1m", "--exchange", "nowhere", "--start", "2020"], "nowhere"),
        (["fetch", "BTC/USDT", "1m", "--exchange", "synthetic", "--start", "2222"], "future"),
        (["fetch", "NEW/USDT", "1m", "--exchange", "synthetic"], "give --start"),
        (["fetch", "A/B", "1s", "--exchange", "synthetic", "--start", "2020"], "timeframe 1s"),
        (["import", "gone.csv", "--symbol", "A", "--timeframe", "1m"], "gone.csv does not exist"),
        (["import", ".", "--symbol", "A", "--timeframe", "1m"], "is a folder"),
    ],
)
def test_an_error_is_told_in_one_line_with_code_1(cli, arguments, message):
    with ohlcache.open(cli.store) as md:
        md.write("BTC/USDT", "1m", make_block(100))
    ended = cli(*arguments)
    assert ended.code == 1
    assert message in ended.error
    assert ended.out == ""
    with ohlcache.open(cli.store) as md:
        assert [(info.symbol, info.rows) for info in md.series()] == [("BTC/USDT", 100)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "BTC/USDT", "1m"],
        ["info", "BTC/USDT", "1m"],
        ["verify"],
        ["serve"],
        ["export", "BTC/USDT", "1m", "-o", "x.csv"],
    ],
)
def test_what_only_reads_makes_no_store(cli, arguments):
    ended = cli(*arguments)
    assert ended.code == 1
    assert f"store {cli.store}/ohlcache.sqlite does not exist" in ended.error
    assert not cli.store.exists()


def test_a_database_of_another_program_is_refused_and_left_as_it_is(cli):
    cli.store.mkdir()
    foreign = cli.store / "ohlcache.sqlite"
    foreign.write_bytes(b"not a database, but long enough to be looked at" * 50)
    before = foreign.read_bytes()
    ended = cli("ls")
    assert ended.code == 1
    assert "ohlcache.sqlite" in ended.error
    assert foreign.read_bytes() == before


def test_a_place_where_no_store_can_be_is_named(capsys):
    assert main(["--store", "/dev/null/x", "ls"]) == 1
    shown = capsys.readouterr()
    assert "store /dev/null/x/ohlcache.sqlite cannot be read (Not a directory)" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("scheme", ["mysql", "POSTGRESQL", "postgresql+psycopg", "sqlite"])
def test_the_password_of_a_url_that_is_not_understood_is_not_shown(capsys, scheme):
    assert main(["--store", f"{scheme}://bot:SECRET@h/x", "ls"]) == 1
    told = capsys.readouterr().err
    assert f"location '{scheme}://bot:***@h/x' is not understood" in told


def test_an_empty_location_is_refused(capsys):
    assert main(["--store", "", "ls"]) == 1
    assert "location is empty" in capsys.readouterr().err


def test_store_and_json_may_stand_on_either_side_of_the_command(tmp_path, capsys, monkeypatch):
    with ohlcache.open(tmp_path) as md:
        md.write("BTC/USDT", "1m", make_block(3))
    monkeypatch.setenv("OHLCACHE_STORE", str(tmp_path))
    answers = []
    for arguments in (
        ["--store", str(tmp_path), "--json", "ls"],
        ["ls", "--json", "--store", str(tmp_path)],
        ["--json", "ls", "--store", f"sqlite:///{tmp_path}/ohlcache.sqlite"],
        ["ls", "--json"],
    ):
        assert main(arguments) == 0
        answers.append(capsys.readouterr().out)
    assert '"rows": 3' in answers[0]
    assert set(answers) == {answers[0]}


def test_the_process_ends_with_the_code(tmp_path):
    for arguments, code in ((["ls"], 0), (["show", "A", "1m"], 1), (["show"], 2)):
        process = start(*arguments, store=tmp_path)
        _, err = process.communicate()
        assert process.returncode == code
        assert "Traceback" not in err


def test_nobody_reading_is_no_error(tmp_path):
    with ohlcache.open(tmp_path) as md:
        md.write("BTC/USDT", "1m", make_block(5_000))
    process = start("show", "BTC/USDT", "1m", "--limit", 5_000, store=tmp_path)
    assert "time (UTC)" in process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 141


def test_a_full_disk_is_told(tmp_path):
    with ohlcache.open(tmp_path) as md:
        md.write("BTC/USDT", "1m", make_block(50))
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ended = subprocess.run(
            [*COMMAND, "--store", str(tmp_path), "ls"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("ohlcache: error: ")
    assert "No space left" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(cli, shell):
    ended = cli("completion", shell)
    assert ended.code == 0
    assert f"_OHLCACHE_COMPLETE={shell}_complete" in ended.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ohlcache re", {"repair", "resample", "revisions"}),
        ("ohlcache import --time", {"--timeframe", "--time-unit"}),
    ],
)
def test_words_are_completed(words, expected):
    ended = subprocess.run(
        COMMAND,
        env={
            **os.environ,
            "_OHLCACHE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert {line.partition(",")[2] for line in ended.stdout.splitlines()} == expected
    assert ended.stderr == ""
