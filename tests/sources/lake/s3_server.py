"""A bucket server on 127.0.0.1 that speaks as much of S3 as lakes need, and can misbehave.

Objects are put, read (also by range), asked about, listed (version 2, by folder), deleted, and
uploaded in parts, as the interface of S3 says. Signatures are not checked, only the access key.
"""

import itertools
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from pyarrow.fs import AwsStandardS3RetryStrategy

ACCESS_KEY, SECRET_KEY = "reader-of-lakes", "a-secret-of-lakes"


class BucketServer:
    """Buckets of objects in memory, and a log of what was asked.

    ``faults`` are taken one by one by requests that read an object: "cut" sends half of the answer
    and closes the connection, "gone" has the object deleted at this moment, a number is a status.
    """

    def __init__(self):
        self.buckets = {"lake": {}}
        self.requests = []
        self.faults = []
        self.uploads = {}
        self.upload_numbers = itertools.count()
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def options(self):
        """What makes a client talk to this server."""
        return {
            "endpoint_override": f"127.0.0.1:{self._server.server_port}",
            "scheme": "http",
            "region": "us-east-1",
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "retry_strategy": AwsStandardS3RetryStrategy(max_attempts=1),  # ours are tested
        }

    def sent(self, method, ending):
        """(path, range, bytes sent) of the requests of one kind."""
        return [
            (path, span, size)
            for kind, path, span, size in self.requests
            if kind == method and path.endswith(ending)
        ]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(server):  # noqa: N805  # what the class below calls it
        class Handler(_Handler):
            owner = server

        return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    owner: BucketServer

    def log_message(self, *_):
        pass

    def handle_expect_100(self):
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()  # the client waits a second for it
        return True

    def do_GET(self):
        self._serve()

    def do_HEAD(self):
        self._serve()

    def do_PUT(self):
        self._serve()

    def do_POST(self):
        self._serve()

    def do_DELETE(self):
        self._serve()

    def _serve(self):
        body = self._body()
        split = urlsplit(self.path)
        bucket, _, key = unquote(split.path).lstrip("/").partition("/")
        query = parse_qs(split.query, keep_blank_values=True)
        objects = self.owner.buckets.get(bucket)
        if ACCESS_KEY not in self.headers.get("Authorization", ""):
            self._error(403, "AccessDenied")
        elif objects is None:
            self._error(404, "NoSuchBucket")
        elif self.command in ("GET", "HEAD") and not key:
            self._list(objects, query)
        elif self.command in ("GET", "HEAD"):
            self._get(objects, key)
        elif self.command == "PUT":
            self._put(objects, key, query, body)
        elif self.command == "POST":
            self._post(objects, key, query)
        else:
            objects.pop(key, None)
            self._answer(204)

    def _body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            return _unchunked(_unchunked_stream(self.rfile), self.headers)
        return _unchunked(self.rfile.read(int(self.headers.get("Content-Length", 0))), self.headers)

    def _get(self, objects, key):
        data = objects.get(key)
        span = self.headers.get("Range")
        fault = None
        if self.command == "GET":
            with self.owner.lock:
                fault = self.owner.faults.pop(0) if self.owner.faults else None
        if fault == "gone":
            data = objects.pop(key, None) and None
        size = 0 if data is None or self.command == "HEAD" else len(data)
        if isinstance(fault, int):
            self._error(fault, "InternalError")
        elif data is None:
            self._error(404, "NoSuchKey")
        elif span is None:
            self._answer(200, data, cut=fault == "cut")
        else:
            first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", span).groups()
            part = data[int(first) : int(last) + 1]
            size = len(part)
            where = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
            self._answer(206, part, {"Content-Range": where}, cut=fault == "cut")
        self.owner.requests.append((self.command, key, span, size))

    def _list(self, objects, query):
        prefix = query.get("prefix", [""])[0]
        delimiter = query.get("delimiter", [""])[0]
        keys, folders = [], set()
        for key in sorted(objects):
            if key.startswith(prefix):
                head, found, _ = key[len(prefix) :].partition(delimiter or "\0")
                if found:
                    folders.add(prefix + head + delimiter)
                else:
                    keys.append(key)
        most = int(query.get("max-keys", ["1000"])[0])
        name = quote if query.get("encoding-type") == ["url"] else escape
        contents = "".join(
            f"<Contents><Key>{name(key)}</Key><Size>{len(objects[key])}</Size>"
            "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in keys[:most]
        )
        common = "".join(
            f"<CommonPrefixes><Prefix>{name(folder)}</Prefix></CommonPrefixes>"
            for folder in sorted(folders)
        )
        count = len(keys[:most]) + len(folders)
        document = f"<IsTruncated>false</IsTruncated><KeyCount>{count}</KeyCount>{contents}{common}"
        self.owner.requests.append(("LIST", prefix, None, len(document)))
        self._answer(200, _document("ListBucketResult", document))

    def _put(self, objects, key, query, body):
        if "uploadId" in query:
            self.owner.uploads[query["uploadId"][0]][int(query["partNumber"][0])] = body
        elif key:
            objects[key] = body
        self.owner.requests.append((self.command, key, None, len(body)))
        self._answer(200, headers={"ETag": '"0"'})

    def _post(self, objects, key, query):
        if "uploads" in query:
            name = f"upload-{next(self.owner.upload_numbers)}"
            self.owner.uploads[name] = {}
            self._answer(
                200, _document("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>")
            )
            return
        parts = self.owner.uploads.pop(query["uploadId"][0])
        objects[key] = b"".join(parts[number] for number in sorted(parts))
        self._answer(200, _document("CompleteMultipartUploadResult", "<ETag>0</ETag>"))

    def _error(self, status, code):
        self._answer(status, _document("Error", f"<Code>{code}</Code><Message>{code}</Message>"))

    def _answer(self, status, body=b"", headers=None, *, cut=False):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True


def _document(root, content):
    return f'<?xml version="1.0" encoding="UTF-8"?><{root}>{content}</{root}>'.encode()


def _unchunked_stream(stream):
    """A body that HTTP sends in pieces."""
    data = b""
    while size := int(stream.readline().split(b";")[0], 16):
        data += stream.read(size)
        stream.readline()
    while stream.readline().strip():
        pass
    return data


def _unchunked(data, headers):
    """A body that S3 clients themselves cut into pieces, with checksums between them."""
    if "aws-chunked" not in headers.get("Content-Encoding", ""):
        return data
    whole = b""
    while data:
        head, _, data = data.partition(b"\r\n")
        size = int(head.split(b";")[0] or b"0", 16)
        if not size:
            break
        whole += data[:size]
        data = data[size + 2 :]
    return whole
