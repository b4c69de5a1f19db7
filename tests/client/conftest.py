"""A key, and requests that are sent by httpx2's client for threads and by the one for tasks."""

import httpx2
import pytest

from dpop_asgi.client import Key
from tests.client.peers import API, Wire


@pytest.fixture(scope="session")
def key():
    return Key.generate()


@pytest.fixture(params=["sync", "async"])
def send(request):
    """Send a request to a function that responds."""

    async def send(respond, *, auth, method="GET", url=API, follow_redirects=False, **content):
        options = {"transport": Wire(respond), "auth": auth, "follow_redirects": follow_redirects}
        if request.param == "sync":
            with httpx2.Client(**options) as http:
                return http.request(method, url, **content)
        async with httpx2.AsyncClient(**options) as http:
            return await http.request(method, url, **content)

    return send
