from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from ohlcache.memory.address_space import AddressSpace
from ohlcache.memory.limits import Bound, _cgroup_bounds, limit_in_force
from ohlcache.memory.usage import Usage, read_usage

MB = 2**20
SIZES = st.integers(1, 2**45)


def bound(name, size, counted=0):
    return Bound(name, size, lambda usage: counted)


@given(SIZES, st.lists(SIZES, max_size=5))
def test_the_least_rules_and_is_named(setting, sizes):
    bounds = [bound(f"bound {size}", size) for size in sizes]

    limit = limit_in_force(setting, Usage(0), bounds)

    assert limit.bytes == min([setting, *sizes])
    expected = "setting memory.limit_mb" if limit.bytes == setting else f"bound {limit.bytes}"
    assert limit.source == expected


@given(SIZES, SIZES, SIZES)
def test_a_limit_is_never_beyond_what_the_bound_still_allows(size, counted, rss):
    limit = limit_in_force(2**50, Usage(rss), [bound("group", size, counted)])

    assert limit.bytes <= size
    assert limit.bytes <= rss + max(0, size - counted) or limit.bytes == 1


def test_others_in_the_same_group_lower_the_limit():
    group = bound("group", 1000 * MB, counted=900 * MB)  # of which 300 MB are ours

    assert limit_in_force(2000 * MB, Usage(300 * MB), [group]).bytes == 400 * MB


# -- control groups -------------------------------------------------------------------------------


class Groups:
    """Control groups as files."""

    def __init__(self, folder, version):
        self.root = folder / "cgroup"
        self.version = version
        self.membership = folder / "membership"
        self.mounts = folder / "mounts"
        kind, options = ("cgroup2", "rw") if version == 2 else ("cgroup", "rw,memory")
        self.mounts.write_text(
            "22 1 0:20 / /proc rw - proc proc rw\n"
            f"31 23 0:28 / {self.root} rw - {kind} x {options}\n"
        )

    def member_of(self, path):
        self.membership.write_text(
            f"0::{path}\n" if self.version == 2 else f"4:cpu,memory:{path}\n"
        )

    def limit(self, path, text, taken=0, droppable=0):
        group = self.root / path
        group.mkdir(parents=True, exist_ok=True)
        v2 = self.version == 2
        (group / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(f"{text}\n")
        (group / ("memory.current" if v2 else "memory.usage_in_bytes")).write_text(f"{taken}\n")
        name = "inactive_file" if v2 else "total_inactive_file"
        (group / "memory.stat").write_text(f"anon 1\n{name} {droppable}\nfile 2\n")

    def limit_for(self, rss=0):
        usage = Usage(rss)
        bounds = list(_cgroup_bounds(usage, self.membership, self.mounts))
        return limit_in_force(2**50, usage, bounds)


def each_version(test):
    def run(tmp_path):
        for version in (1, 2):
            folder = tmp_path / str(version)
            folder.mkdir()
            test(Groups(folder, version))

    run.__name__ = test.__name__
    return run


@each_version
def test_groups_above_count_too(groups):
    groups.member_of("/app/worker")
    groups.limit("", 900 * MB)
    groups.limit("app", 300 * MB)
    groups.limit("app/worker", 500 * MB)

    limit = groups.limit_for()

    assert limit.bytes == 300 * MB
    assert str(groups.root / "app") in limit.source


@each_version
def test_no_limit_is_none(groups):
    groups.member_of("/app")
    groups.limit("app", "max" if groups.version == 2 else 9223372036854771712)

    assert groups.limit_for().source == "setting memory.limit_mb"


@each_version
def test_in_a_container_what_is_mounted_counts(groups):
    groups.member_of("/docker/0123456789abcdef")
    groups.limit("", 700 * MB)

    assert groups.limit_for().bytes == 700 * MB


@each_version
def test_file_cache_that_can_be_dropped_is_room(groups):
    groups.member_of("/")
    groups.limit("", 1000 * MB, taken=950 * MB, droppable=450 * MB)

    assert groups.limit_for(rss=100 * MB).bytes == 600 * MB


@each_version
def test_a_mount_that_shows_a_part_of_the_groups_is_followed_from_there(groups):
    mounted = groups.mounts.read_text().replace(" / /", " /docker/abc /")
    groups.mounts.write_text(mounted.replace(" /docker/abc /proc", " / /proc"))
    groups.member_of("/docker/abc/job")
    groups.limit("", "max" if groups.version == 2 else 2**62)
    groups.limit("job", 512 * MB)

    assert groups.limit_for().bytes == 512 * MB


@each_version
def test_spaces_in_the_mount_and_blank_lines_are_read(groups):
    spaced = groups.root.with_name("c group")
    groups.mounts.write_text(
        groups.mounts.read_text().replace(str(groups.root), str(spaced).replace(" ", "\\040"))
        + "\n"
    )
    groups.root = spaced
    groups.member_of("/a")
    groups.membership.write_text(groups.membership.read_text() + "\n")
    groups.limit("a", 300 * MB)

    assert groups.limit_for().bytes == 300 * MB


def test_where_a_group_is_slowed_down_is_a_limit(tmp_path):
    groups = Groups(tmp_path, 2)
    groups.member_of("/a")
    groups.limit("a", "max")
    (groups.root / "a" / "memory.high").write_text(f"{200 * MB}\n")

    limit = groups.limit_for()

    assert limit.bytes == 200 * MB
    assert "memory.high" in limit.source


# -- address space --------------------------------------------------------------------------------


def address_space_left(readings_mb):
    """The limit on RSS after readings of (RSS, virtual), with RLIMIT_AS at 2048 MB."""
    space = AddressSpace(lambda usage: usage.virtual)
    bound = Bound("RLIMIT_AS", 2048 * MB, space.counted)
    return [
        bound.for_rss(Usage(rss * MB, virtual * MB)).bytes // MB for rss, virtual in readings_mb
    ]


def test_the_limit_does_not_follow_what_reliefs_free_and_leave_mapped():
    assert address_space_left([(1000, 1950), (900, 1950), (700, 1950)]) == [1098] * 3
    # Holes that were filled again are no loss either, nor what comes and is used at once.
    assert address_space_left([(1000, 1950), (700, 1950), (1000, 1950), (1050, 2000)]) == [1098] * 4


def test_address_space_that_is_taken_anew_lowers_the_limit_until_it_is_given_back():
    assert address_space_left([(1000, 1500), (1000, 2000), (1000, 1500)]) == [1548, 1048, 1548]
    assert address_space_left([(500, 1000), (500, 1500), (1000, 1500)]) == [1548, 1048, 1548]


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 1000)), min_size=1, max_size=20))
def test_address_space_is_never_less_than_is_there(readings):
    space = AddressSpace(lambda usage: usage.virtual)
    for rss, gap in readings:
        assert rss <= space.counted(Usage(rss, rss + gap)) <= rss + gap


def test_without_control_groups_there_is_no_bound(tmp_path):
    assert list(_cgroup_bounds(Usage(1), tmp_path / "none", tmp_path / "none")) == []


# -- a real process -------------------------------------------------------------------------------

LIMITED = """
import resource, sys
name, size = sys.argv[1], int(sys.argv[2])
resource.setrlimit(getattr(resource, name), (size, resource.RLIM_INFINITY))
from ohlcache.memory import get_memory_manager
snapshot = get_memory_manager(memory_limit_mb=100_000).snapshot()
assert snapshot.limit_source == name, snapshot
assert snapshot.rss_bytes < snapshot.limit_bytes <= size, snapshot
"""


def test_a_limit_of_the_shell_is_found():
    for name, size in (("RLIMIT_DATA", 400 * MB), ("RLIMIT_AS", 900 * MB)):
        subprocess.run([sys.executable, "-c", LIMITED, name, str(size)], check=True)


def test_usage_follows_what_is_taken():
    before = read_usage()

    taken = b"x" * (64 * MB)

    after = read_usage()
    for name in ("rss", "virtual", "data"):
        grown = getattr(after, name) - getattr(before, name)
        assert 60 * MB < grown < 80 * MB, name
    del taken
