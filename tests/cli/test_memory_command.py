"""``ohlcache memory profile``: a script run under memray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from command_line import COMMAND, CommandLine, start

pytest.importorskip("memray")

SCRIPT = """
import sys

def fill():
    return [bytearray(1_000_000) for _ in range(20)]

filled = fill()
print("arguments", sys.argv[1:])
sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
"""


@pytest.fixture
def cli(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return CommandLine(tmp_path / "store", capsys)


@pytest.fixture
def script(tmp_path):
    written = tmp_path / "script.py"
    written.write_text(SCRIPT)
    return written


def test_peak_and_who_held_it_are_told(cli, script, tmp_path):
    ended = cli("memory", "profile", "-o", "out.bin", script)
    assert (ended.code, ended.err) == (0, "")
    assert "held at that moment by" in ended.out
    assert "script.py:5" in ended.out
    assert "recorded in out.bin" in ended.out
    assert "python -m memray flamegraph out.bin" in ended.out
    assert (tmp_path / "out.bin").exists()


def test_as_json_it_is_one_document(script, tmp_path):
    ended = subprocess.run(
        [*COMMAND, "memory", "profile", "--json", str(script), "0", "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    document = json.loads(ended.stdout)
    assert document["exit_code"] == 0
    assert document["recording"] == "script.memray"
    assert document["peak_bytes"] >= 20_000_000
    top = document["allocators"][0]
    assert (top["file"], top["line"]) == (str(script), 5)
    assert top["bytes"] >= 20_000_000
    assert ended.stderr == "arguments ['0', '--json']\n"


def test_the_scripts_output_exit_code_and_arguments_pass(script, tmp_path):
    ended = subprocess.run(
        [*COMMAND, "memory", "profile", str(script), "3", "-o", "--help"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert ended.returncode == 3
    assert "arguments ['3', '-o', '--help']\n" in ended.stdout
    assert "ended with exit code 3" in " ".join(ended.stdout.split())
    assert "peak" in ended.stdout


def test_a_script_that_raises_is_told_with_what_it_held(cli, script):
    script.write_text("filled = bytearray(30_000_000)\nraise ValueError\n")
    ended = cli("memory", "profile", script)
    assert ended.code == 1
    assert "ended with exit code 1" in ended.out
    assert "script.py:1" in ended.out


def test_a_script_that_is_killed_is_told(cli, script):
    script.write_text("import os\nos.kill(os.getpid(), 9)\n")
    ended = cli("memory", "profile", script)
    assert ended.code == 128 + 9
    assert "ended with exit code 137" in " ".join(ended.out.split())


def test_ctrl_c_ends_the_script_and_tells_what_it_held(script, tmp_path):
    script.write_text(
        "import time\nfilled = bytearray(30_000_000)\n"
        "try:\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('ended')\n"
    )
    started = start(
        "memory", "profile", script, store=tmp_path, cwd=tmp_path, start_new_session=True
    )
    assert started.stdout.readline() == "ready\n"
    os.killpg(started.pid, signal.SIGINT)
    out, err = started.communicate(timeout=30)
    assert (started.returncode, err) == (0, "")
    assert out.startswith("ended\npeak")
    assert "script.py:2" in out


def test_a_flame_graph_is_drawn(cli, script, tmp_path):
    ended = cli("memory", "profile", "--flamegraph", "flames.html", script)
    assert ended.code == 0
    assert "drawn in flames.html" in ended.out
    assert "<html" in (tmp_path / "flames.html").read_text()[:500]


@pytest.mark.parametrize("option", ["output", "flamegraph"])
def test_what_exists_is_not_overwritten(cli, script, tmp_path, option):
    (tmp_path / "mine").write_text("dear to me")
    ended = cli("memory", "profile", f"--{option}", "mine", script)
    assert ended.code == 1
    assert ended.error == (
        f"ohlcache: error: {option} mine exists: remove it, or name another file with --{option}"
    )
    assert (tmp_path / "mine").read_text() == "dear to me"


def test_our_own_earlier_recording_is_replaced(cli, script, tmp_path):
    assert "replaced" not in cli("memory", "profile", script).out
    again = cli("memory", "profile", script)
    assert again.code == 0
    assert "an earlier script.memray was replaced" in again.out
    (tmp_path / "script.memray").write_text("dear to me")
    assert cli("memory", "profile", script).code == 1
    assert (tmp_path / "script.memray").read_text() == "dear to me"


def test_frames_of_who_runs_and_imports_the_script_are_left_out(cli, script):
    script.write_text("import json.tool, decimal, difflib\nfilled = bytearray(3_000_000)\n")
    held = cli("memory", "profile", "--json", script).document["allocators"]
    assert (held[0]["file"], held[0]["line"]) == (str(script), 2)
    others = ("/memray/", "<frozen ", "pathlib.py")
    assert not [each for each in held if any(other in each["file"] for other in others)]
    assert (str(script), 1) in {(each["file"], each["line"]) for each in held}


def test_a_script_that_is_not_there_is_a_wrong_use(cli):
    ended = cli("memory", "profile", "absent.py")
    assert ended.code == 2
    assert "absent.py" in ended.error


def test_without_memray_the_extra_is_named(script, tmp_path):
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    (tmp_path / "memray.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'memray'\", name='memray')"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "ohlcache.cli", "memory", "profile", str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        cwd=tmp_path,
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "ohlcache: error: memray is not installed: run pip install 'ohlcache[memray]'\n"
    )
