"""What a client's request costs in process, up to the socket and from it."""

from collections.abc import Generator
from typing import Any

import httpx2

from tests.benchmarks.material import URI, RawVerification
from tests.benchmarks.rounds import Row


class PlainAuth(httpx2.Auth):
    """The denominator: one raw P-256 signature and the two headers, as large as they are, with nothing around it."""

    def __init__(self) -> None:
        self._raw = RawVerification()

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        self._raw.signed(1)
        request.headers["Authorization"] = "x" * 700
        request.headers["DPoP"] = "x" * 600
        response = yield request
        response.headers.get("DPoP-Nonce")


def signed_requests(auth: httpx2.Auth, count: int) -> Row:
    """Requests of a client that knows the nonce already; each is accepted at once."""
    headers = {"DPoP-Nonce": "n" * 22, "Content-Type": "application/json"}

    async def send_all(requests: list[Any]) -> None:
        for request, response in requests:
            flow = auth.sync_auth_flow(request)
            next(flow)
            response.request = request
            try:
                flow.send(response)
            except StopIteration:
                continue
            raise AssertionError("it was sent again")

    def arrived(_: Any) -> Any:
        request = httpx2.Request("GET", URI, headers={"Accept": "*/*", "User-Agent": "benchmark/1"})
        return request, httpx2.Response(200, headers=headers)

    return Row([None] * count, send_all, arrived)
