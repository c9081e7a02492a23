"""``ohlcache memory``: what a script does with its memory."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click

from ohlcache.cli.invocation import Invocation, common_options, subcommand
from ohlcache.cli.output import count, size, stdout
from ohlcache.errors import InvalidArgument, MissingExtra

_TOP = 10
_STDERR = 2  # the descriptor that the script inherits
_KILLED = 128  # plus the signal, as shells tell it
_MAGIC = b"memray"  # in what a recording begins with, compressed or not
_HEAD = 32
_RUNPY = ("<frozen runpy>", runpy.__file__)


class Allocator(NamedTuple):
    """A line and what it held when memory was at its peak."""

    function: str
    file: str
    line: int
    bytes: int
    blocks: int


class Recording(NamedTuple):
    """What memray recorded. allocators: at the peak, the largest first."""

    peak_bytes: int
    allocators: list[Allocator]


@click.group("memory")
@common_options
def command() -> None:
    """See what a script does with its memory."""


@subcommand("profile")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the recording goes; default: SCRIPT.memray in this folder, over an earlier one.",
)
@click.option(
    "--flamegraph",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Also draw who held what at the peak.",
)
@click.argument("script", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def profile(
    invocation: Invocation,
    output: Path | None,
    flamegraph: Path | None,
    script: Path,
    arguments: tuple[str, ...],
) -> int | None:
    """Run SCRIPT with its ARGUMENTS, and tell its peak memory and who held it.

    Every allocation is recorded by memray, so the script runs slower. The exit code is the
    script's own.
    """
    _require_memray()
    recording = output or Path(f"{script.stem}.memray")
    replaces = output is None and _is_recording(recording)
    for option, path in (("output", recording), ("flamegraph", flamegraph)):
        if path is not None and path.exists() and not (replaces and path == recording):
            raise InvalidArgument(
                f"{option} {path} exists: remove it, or name another file with --{option}"
            )
    code = _run(script, arguments, recording, output_to_stderr=invocation.as_json)
    found = _read(recording)
    if found is not None and flamegraph is not None:
        _draw(recording, flamegraph)
    if invocation.as_json:
        invocation.print_json(_document(script, code, recording, flamegraph, found))
    else:
        _print(script, code, recording, flamegraph, found)
        if replaces:
            stdout().print(f"an earlier {recording} was replaced")
    return code or (None if found is not None else 1)


profile.context_settings["allow_interspersed_args"] = False  # what follows SCRIPT is for it
command.add_command(profile)


def _require_memray() -> None:
    try:
        import memray  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("memray", "memray") from error


def _is_recording(path: Path) -> bool:
    """Whether a file is there that memray has written."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _MAGIC in file.read(_HEAD)


def _run(script: Path, arguments: Iterable[str], recording: Path, *, output_to_stderr: bool) -> int:
    """The script's exit code. In JSON, stdout is for the document."""
    run = [
        *_memray("run"),
        "--quiet",
        "--force",
        "--output",
        str(recording),
        str(script),
        *arguments,
    ]
    with subprocess.Popen(run, stdout=_STDERR if output_to_stderr else None) as started:
        try:
            code = started.wait()
        except KeyboardInterrupt:  # the script has got it too; what it recorded is still written
            code = started.wait()
    return code if code >= 0 else _KILLED - code


def _memray(command_name: str) -> list[str]:
    return [sys.executable, "-m", "memray", command_name]


def _read(recording: Path) -> Recording | None:
    """None where the script left nothing that can be read, as when it was killed."""
    from memray import FileReader

    try:
        reader = FileReader(recording)
    except OSError:
        return None
    with reader:
        held = reader.get_high_watermark_allocation_records(merge_threads=True)
        found = _allocators(held)
    return Recording(reader.metadata.peak_memory, found)


def _allocators(records: Iterable[Any]) -> list[Allocator]:
    """What each line held, whoever called it; what importing holds is the importing line's.

    What the run itself holds is left out.
    """
    held: dict[tuple[str, str, int], tuple[int, int]] = {}
    for record in records:
        place = _place(record.stack_trace())
        if place is not None:
            nbytes, blocks = held.get(place, (0, 0))
            held[place] = (nbytes + record.size, blocks + record.n_allocations)
    found = [Allocator(*place, *amounts) for place, amounts in held.items()]
    return sorted(found, key=lambda allocator: -allocator.bytes)[:_TOP]


def _place(stack: Iterable[tuple[str, str, int]]) -> tuple[str, str, int] | None:
    """The innermost line that is the script's or of what it calls; None where there is none."""
    innermost = None
    for place in stack:
        file = place[1]
        if "/memray/" in file:  # memray runs the script by runpy, so this is its own
            return None
        if file in _RUNPY:
            return innermost
        if innermost is None and not file.startswith("<frozen "):
            innermost = place
    return innermost


def _draw(recording: Path, flamegraph: Path) -> None:
    draw = [*_memray("flamegraph"), "--output", str(flamegraph), str(recording)]
    drawn = subprocess.run(draw, capture_output=True, text=True, check=False)
    if drawn.returncode != 0:
        raise InvalidArgument(f"flamegraph {flamegraph} could not be drawn: {drawn.stderr.strip()}")


def _document(
    script: Path, code: int, recording: Path, flamegraph: Path | None, found: Recording | None
) -> dict[str, Any]:
    return {
        "script": str(script),
        "exit_code": code,
        "recording": str(recording) if found is not None else None,
        "flamegraph": str(flamegraph) if found is not None and flamegraph is not None else None,
        "peak_bytes": found.peak_bytes if found is not None else None,
        "allocators": [each._asdict() for each in found.allocators] if found is not None else [],
    }


def _print(
    script: Path, code: int, recording: Path, flamegraph: Path | None, found: Recording | None
) -> None:
    console = stdout()
    if code:
        console.print(f"{script} ended with exit code {code}", style="red")
    if found is None:
        console.print(f"{script} left no recording that can be read", style="red")
        return
    console.print(f"peak {size(found.peak_bytes)}; held at that moment by:")
    for each in found.allocators:
        place = f"{_shown(each.file)}:{each.line}"
        blocks = count(each.blocks, "block")
        line = f"{size(each.bytes):>10}  {place}  {each.function}, {blocks}"
        console.print(line, soft_wrap=True)
    console.print(f"recorded in {recording}")
    if flamegraph is not None:
        console.print(f"drawn in {flamegraph}")
    else:
        console.print(f"draw it with  python -m memray flamegraph {recording}")


def _shown(file: str) -> str:
    """A path without what all have: this folder, or that of installed packages."""
    path = Path(file)
    if path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return file.rpartition("site-packages/")[2]
