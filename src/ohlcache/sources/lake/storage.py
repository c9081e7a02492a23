"""Where a lake lies: any URL that fsspec knows, and what goes wrong there, in our words.

``s3://`` goes through Arrow's own S3 client behind fsspec's wrapper: it is in pyarrow already. All
other schemes are fsspec's (``gs://`` needs gcsfs, ``abfs://`` adlfs, and so on).
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ohlcache.errors import InvalidArgument, MissingExtra, SourceError, SourceUnavailable
from ohlcache.sources.files.atomic import atomic_write
from ohlcache.urls import NOT_ENCODED, is_ambiguous, masked, password_parts

_DENIED = re.compile(r"ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|\b40[13]\b")
_SECRET = ("key", "secret", "token", "pass", "auth", "user")  # in names of options
_GONE = "NO_SUCH_KEY"
_NO_BUCKET = ("NO_SUCH_BUCKET", "bucket does not exist")


class Storage:
    """A folder of objects. Paths are relative to it, with slashes.

    All methods raise FileNotFoundError for what is not there, SourceError where access is denied or
    the bucket is missing, and SourceUnavailable for a failure that may pass.
    """

    def __init__(self, url: str | Path, options: Mapping[str, Any] | None = None) -> None:
        """``options`` are those of the file system: of pyarrow's S3FileSystem for ``s3://``.

        What they leave out comes from where the file system looks for it: environment, profiles.
        Raises InvalidArgument for a URL or options that mean nothing, MissingExtra without fsspec.
        """
        if not isinstance(url, str | os.PathLike) or not str(url).strip():
            raise InvalidArgument(f"url is {url!r}: give a path, or a URL such as s3://bucket/path")
        text = str(url)
        given = {
            str(value)
            for name, value in (options or {}).items()
            if any(sign in name for sign in _SECRET)
        }
        secrets = {one for one in given.union(password_parts(text)) if len(one) > 3}
        self._secrets = sorted(secrets, key=len, reverse=True)  # one may hold another
        self.name = _without_user(text)
        try:
            self._files, self._root = _file_system(text, dict(options or {}))
        except ImportError as error:
            if (error.name or "").partition(".")[0] == "fsspec":
                raise MissingExtra("fsspec", "lake") from None
            raise InvalidArgument(f"url {self.name!r}: {self._told(error)}") from None
        except (TypeError, ValueError) as error:
            reason = NOT_ENCODED if is_ambiguous(text) else self._told(error)
            raise InvalidArgument(
                f"url {self.name!r} or its storage_options cannot be used ({reason}): "
                "give a path, file://, s3://bucket/path or another URL of fsspec"
            ) from None
        self.is_local: bool = "file" in self._files.protocol
        self._is_flat = self._files.protocol == "s3"
        # Without it fsspec's wrapper fails for ranges that start at 0.
        self._reading = {"seekable": True} if self._is_flat else {}

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Bytes [start, end) of an object, fewer where it ends before, or all of it."""
        with self._errors(path):
            try:
                found: bytes = self._files.cat_file(self._at(path), start, end, **self._reading)
            except OSError as error:
                if "past end" in str(error):
                    return b""
                if self._is_flat and self._went(path, error):
                    raise FileNotFoundError(path) from error
                raise
        return found

    def _went(self, path: str, error: OSError) -> bool:
        """Whether an object was deleted between the two requests, for its size and its bytes.

        Arrow's client has room for no answer longer than the bytes it asked for, so that the
        reason may not reach us.
        """
        return _GONE in str(error) or not self._files.exists(self._at(path))

    def put(self, path: str, data: bytes) -> None:
        """An object under a name: readers see all of it or what was there before."""
        with self._placing(path):
            self._put(self._at(path), data)

    def _put(self, target: str, data: bytes) -> None:
        if self.is_local:
            with atomic_write(_below_folders(target)) as file:
                file.write(data)
            return
        if not self._is_flat:
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(target, data)

    @contextmanager
    def locked(self, path: str) -> Iterator[bool]:
        """Whether nobody had locked this local file, which is made and then locked until the end.

        The lock is one of the operating system, which ends it with the process.
        """
        with self._placing(path):
            file = _below_folders(self._at(path)).open("ab")
        with file:
            with self._errors(path):
                is_free = _lock(file)
            try:
                yield is_free
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)  # for processes forked meanwhile, too

    def remove(self, path: str) -> None:
        """Delete an object."""
        with self._errors(path):
            self._files.rm_file(self._at(path))

    def modified(self, path: str) -> int | None:
        """When an object was put, in ms, or None where the file system does not tell."""
        with self._errors(path):
            try:
                found = self._files.modified(self._at(path))
            except NotImplementedError:
                return None
            if found is None:  # what fsspec's wrapper of Arrow makes of no object
                raise FileNotFoundError(path)
        return int(found.timestamp() * 1000)

    def folders(self, path: str) -> list[str]:
        """The names of the folders in a folder, sorted."""
        return self._listed(path, "directory")

    def objects(self, path: str) -> list[str]:
        """The names of the objects in a folder, not in those below it, sorted."""
        return self._listed(path, "file")

    def _listed(self, path: str, kind: str) -> list[str]:
        with self._errors(path):
            self._files.invalidate_cache()
            found = self._files.ls(self._at(path), detail=True)
        names = (one["name"].rstrip("/") for one in found if one["type"] == kind)
        return sorted(name.rpartition("/")[2] for name in names)

    def files(self, path: str, suffix: str) -> dict[str, int]:
        """Paths below ``path``, at any depth, that end like this, with their sizes in bytes.

        Hidden ones, and those in hidden folders, are left out; they begin with ``_`` or a dot.
        """
        folder = self._at(path)
        with self._errors(path):
            self._files.invalidate_cache()
            found = self._files.find(folder, detail=True)
        sizes = {name[len(folder) :].lstrip("/"): one["size"] for name, one in found.items()}
        return {
            name: size
            for name, size in sorted(sizes.items())
            if name.endswith(suffix)
            and not any(part.startswith(("_", ".")) for part in name.split("/"))
        }

    def _at(self, path: str) -> str:
        return join(self._root, path)

    @contextmanager
    def _placing(self, path: str) -> Iterator[None]:
        try:
            with self._errors(path):
                yield
        except FileNotFoundError as error:  # of a folder that nobody can make
            raise self._no_folder(error) from error

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        where = join(self.name, path)
        try:
            yield
        except FileNotFoundError as error:
            if any(sign in str(error) for sign in _NO_BUCKET):
                raise self._no_bucket() from error
            raise
        except (NotADirectoryError, FileExistsError, IsADirectoryError) as error:
            raise self._no_folder(error) from error
        except (OSError, TimeoutError) as error:
            told = self._told(error)
            if isinstance(error, PermissionError) or _DENIED.search(told):
                raise SourceError(
                    f"{where}: access is denied ({told}): give credentials that may, by "
                    "storage_options or the environment"
                ) from error
            if any(sign in told for sign in _NO_BUCKET):
                raise self._no_bucket() from error
            raise SourceUnavailable(f"{where}: {told}: try again") from error

    def _no_bucket(self) -> SourceError:
        return SourceError(f"{self.name}: there is no such bucket: create it or give another URL")

    def _no_folder(self, error: OSError) -> SourceError:
        return SourceError(
            f"{self.name} cannot be a folder ({self._told(error)}): give the URL of one"
        )

    def _told(self, error: BaseException) -> str:
        """The first line of an error, without what was given as credentials."""
        told = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
        for secret in self._secrets:
            told = told.replace(secret, "…")
        return told


def join(*parts: str) -> str:
    """Parts of a path with one slash between them; empty ones are left out."""
    return "/".join(part.rstrip("/") for part in parts if part)


def _below_folders(target: str) -> Path:
    """The path of a local file, after its folders were made."""
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _file_system(url: str, options: dict[str, Any]) -> tuple[Any, str]:
    import fsspec

    split = urlsplit(url)
    if split.scheme not in ("s3", "s3a"):
        files, root = fsspec.core.url_to_fs(url, **options)
        return files, root
    if not split.netloc or "@" in split.netloc or split.query:
        raise ValueError("an S3 URL is s3://bucket/path, and nothing else stands in it")
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import S3FileSystem

    # fsspec would hand out one instance for file systems that it cannot tell apart.
    wrapped = ArrowFSWrapper(S3FileSystem(**options), skip_instance_cache=True)
    return wrapped, join(split.netloc, split.path.strip("/"))


def _without_user(url: str) -> str:
    shown = masked(url)
    split = urlsplit(shown)
    if not split.netloc:
        return shown
    return split._replace(netloc=split.netloc.rpartition("@")[2], query="").geturl()
