"""One httpx2 request, sent as often as the flow asks for."""

import io
from collections.abc import AsyncIterator, Generator, Iterator

import httpx2

from dpop_asgi.client.flow import Response

# What is yielded is a request to send, and what is sent back is its response.
Exchange = Generator[httpx2.Request, httpx2.Response, httpx2.Response]

# More than what is looked at of any response. A server that sends without end would fill the memory.
_LONGEST = 131_072
# Any other can stand for a thousand times as much, and several at once for a thousand times that.
_CODINGS = frozenset({"", "identity"})


class Body:
    """The body of a request, before it was sent for the first time.

    Bytes can be sent again, and so can files that know where they began. Nothing else can: an iterator that was
    consumed would send an empty body.
    """

    def __init__(self, request: httpx2.Request) -> None:
        self._stream = stream = request.stream
        self._files: list[tuple[io.IOBase, int]] = []
        self.repeatable: bool = isinstance(stream, httpx2.ByteStream) or all(map(self._marks, _parts(stream)))

    def rewind(self) -> None:
        """Move the files back to where they were."""
        for file, position in self._files:
            file.seek(position)

    def is_spent_for(self, request: httpx2.Request) -> bool:
        """Whether a redirected request has this body, which cannot be sent again."""
        return request.stream is self._stream and not self.repeatable

    def again(self, request: httpx2.Request) -> "Body":
        """The body of a redirected request, which is this one unless the method has become GET."""
        if request.stream is not self._stream:
            return Body(request)
        self.rewind()
        return self

    def _marks(self, part: object) -> bool:
        if isinstance(part, io.IOBase) and part.seekable():
            self._files.append((part, part.tell()))
            return True
        return isinstance(part, str | bytes)


def _parts(stream: object) -> list[object]:
    """What a stream of httpx2 reads from: the one source of a plain upload, the fields of a form, or else itself."""
    fields = getattr(stream, "fields", None)
    if isinstance(fields, list):
        return [getattr(field, "file", b"") for field in fields]
    return [getattr(stream, "_stream", stream)]


def sent(request: httpx2.Request, body: Body, steps: Generator[dict[str, str], Response, None]) -> Exchange:
    """Send a request with the headers of each step; returns the last response.

    The response to another request, to which a redirect has led httpx2, isn't one to this request: it ends here.
    """
    headers = next(steps)
    while True:
        # One by one: `update` takes three times as long.
        for name, value in headers.items():
            request.headers[name] = value
        response = yield request
        if response.request is not request:
            return response
        try:
            headers = steps.send(response)
        except StopIteration:
            return response
        # It is read to its end before the second try.
        bounded(response)
        body.rewind()


def bounded(response: httpx2.Response) -> httpx2.Response:
    """The response, of which no more is read than what errors and tokens have; what is compressed stays so."""
    if response.headers.get("content-encoding", "").lower() not in _CODINGS:
        del response.headers["content-encoding"]
    response.stream = _Start(response.stream)
    return response


class _Start(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The start of a stream, of either kind."""

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._stream:  # type: ignore[attr-defined]
            yield part
            size += len(part)
            if size > _LONGEST:
                return

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:  # type: ignore[attr-defined]
            yield part
            size += len(part)
            if size > _LONGEST:
                return

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()  # type: ignore[attr-defined]

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()  # type: ignore[attr-defined]
