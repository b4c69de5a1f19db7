"""Reads HTTP as text: what `curl -v` prints, or requests and responses as they are on the wire."""

import re
from dataclasses import dataclass, field, replace

from dpop_asgi.cli.explain.message import Message
from dpop_asgi.cli.explain.reading.fields import Fields, first, request, response, url_of

_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~\w-]+) (\S+) HTTP/\d(?:\.\d)?$")
_STATUS_LINE = re.compile(r"HTTP/\d(?:\.\d)? (\d{3})\b")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*)$")
# A long line that a terminal broke.
_CONTINUATION = re.compile(r"[\w.~+/=-]+$")
_TLS = re.compile(r"SSL connection using|:scheme: https|for https://|ALPN[:,] server accepted", re.IGNORECASE)
_PLAIN = re.compile(r"Connected to |Established connection to ")
# As curl marks them: information, request, response.
_MARKED = re.compile(r"([*><])(?: |$)")


@dataclass(slots=True)
class _Exchange:
    method: str | None = None
    target: str = ""
    scheme: str | None = None
    fields: Fields = field(default_factory=list)
    status: int | None = None
    received: Fields = field(default_factory=list)

    def message(self, source: str) -> Message:
        url, is_assumed = url_of(self.target, first(self.fields, "host"), self.scheme) if self.method else (None, False)
        read = request(source, self.method, url, self.fields, is_scheme_assumed=is_assumed)
        if self.method is None and not read.authorizations:
            # Headers alone: the others may have been left out.
            read = replace(read, authorizations=None)
        return read if self.status is None else replace(read, response=response(self.status, self.received))


class _Reader:
    """Goes through the lines once, and remembers where it is."""

    def __init__(self, *, is_marked: bool) -> None:
        self._is_marked = is_marked
        self._scheme: str | None = None
        self._fields: Fields | None = None
        self.exchanges: list[_Exchange] = []

    def line(self, line: str) -> None:
        mark = _MARKED.match(line) if self._is_marked else None
        if mark is None and self._is_marked:
            self._continue(line)
        elif mark is not None and mark[1] == "*":
            self._information(line)
        else:
            self._http(line[2:] if mark else line)

    def _information(self, line: str) -> None:
        self._scheme = "https" if _TLS.search(line) else "http" if _PLAIN.search(line) else self._scheme

    def _http(self, text: str) -> None:
        if asked := _REQUEST_LINE.match(text):
            self.exchanges.append(_Exchange(asked[1], asked[2], self._scheme))
            self._fields = self.exchanges[-1].fields
        elif answered := _STATUS_LINE.match(text):
            self.exchanges = self.exchanges or [_Exchange()]
            self.exchanges[-1].status = int(answered[1])
            self._fields = self.exchanges[-1].received
        elif not text.strip():
            self._fields = None
        elif header := _FIELD.match(text):
            self._header(header[1], header[2])

    def _header(self, name: str, value: str) -> None:
        if self._fields is None and not self.exchanges:
            self.exchanges.append(_Exchange())
            self._fields = self.exchanges[-1].fields
        if self._fields is not None:
            self._fields.append((name, value))

    def _continue(self, line: str) -> None:
        if self._fields and _CONTINUATION.match(line):
            name, value = self._fields[-1]
            self._fields[-1] = name, value + line


def read_http(text: str) -> list[Message]:
    """The requests in `text`; empty if it isn't HTTP, and isn't what `curl -v` prints."""
    lines = [line.rstrip() for line in text.splitlines()]
    is_marked = any(line.startswith("> ") for line in lines)
    reader = _Reader(is_marked=is_marked)
    for line in lines:
        reader.line(line)
    source = "the output of curl -v" if is_marked else "an HTTP message"
    read = [exchange.message(source) for exchange in reader.exchanges]
    return read if any(each.has_credentials or each.method for each in read) else []
