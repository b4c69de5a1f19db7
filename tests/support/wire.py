"""A raw HTTP/1.1 client: what goes over the wire is what the test says, well-formed or not."""

import contextlib
import http.client
import io
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

# An answer that takes longer is a hang: the tests of this project have no slow routes.
PATIENCE = 60.0

Text = str | bytes
Field = tuple[Text, Text]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with every field line in its order, decoded as Latin-1."""

    status: int
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def all(self, name: str) -> list[str]:
        """The value of every line of this name."""
        return [value for known, value in self.fields if known.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        """The value of the only line of this name, if there is one."""
        values = self.all(name)
        assert len(values) <= 1, f"{len(values)} lines of {name}"
        return values[0] if values else None


def raw(text: Text) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def request_bytes(
    method: Text, target: Text, fields: Iterable[Field], body: bytes = b"", *, version: Text = "HTTP/1.1"
) -> bytes:
    """A request with these lines and no others, not even `Host`."""
    lines = [b" ".join((raw(method), raw(target), raw(version)))]
    lines += [raw(name) + b": " + raw(value) for name, value in fields]
    return b"\r\n".join([*lines, b"", body])


class _Unclosed(io.BufferedReader):
    """What was read ahead belongs to the next answer, so no answer may close it."""

    def close(self) -> None:
        pass

    def makefile(self, _: str) -> Self:
        """An answer takes this for a socket."""
        return self


class Connection:
    """One connection; requests may follow one another, or be sent before the answer."""

    def __init__(self, port: int, *, patience: float = PATIENCE) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), patience)
        self._reader: Any = _Unclosed(socket.SocketIO(self._socket, "r"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, request: bytes) -> None:
        # A server may refuse and close before it has read everything: its answer is what counts.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(request)

    def begin(self, method: str = "GET") -> http.client.HTTPResponse:
        """Status line and fields; the body is left to be read as it comes."""
        answer = http.client.HTTPResponse(self._reader, method=method)
        answer.begin()
        return answer

    def receive(self, method: str = "GET") -> Response:
        """A whole answer."""
        with self.begin(method) as answer:
            return Response(answer.status, tuple(answer.headers.items()), answer.read())


def exchange(port: int, request: bytes, *, method: str = "GET") -> Response:
    """One request on a connection of its own."""
    with Connection(port) as connection:
        connection.send(request)
        return connection.receive(method)
