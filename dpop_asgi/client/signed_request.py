"""One httpx2 request, sent as often as the flow asks for."""

import io
from collections.abc import Generator

import httpx2

from dpop_asgi.client.flow import Response

# What is yielded is a request to send, and what is sent back is its response.
Exchange = Generator[httpx2.Request, httpx2.Response, httpx2.Response]


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
        body.rewind()
