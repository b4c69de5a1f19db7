"""What clients talk to: an API and a token endpoint that ask for nonces, and remember what they were sent."""

import base64
import io
import json
from tempfile import TemporaryFile
from urllib.parse import parse_qs

import httpx2

API = "https://api.example.com/orders"
TOKEN_URL = "https://id.example.com/token"
TOKEN = "a.bound.token"


def claims_of(proof):
    return json.loads(base64.urlsafe_b64decode(proof.split(".")[1] + "=="))


def challenge(nonce="n1", line='DPoP error="use_dpop_nonce"', status=401):
    headers = {"WWW-Authenticate": line, **({} if nonce is None else {"DPoP-Nonce": nonce})}
    return httpx2.Response(status, headers=headers)


class Wire(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """To a function of a request and its body, which it reads from the stream each time, as what sends it would."""

    def __init__(self, respond):
        self._respond = respond

    def handle_request(self, request):
        return self._respond(request, b"".join(request.stream))

    async def handle_async_request(self, request):
        return self._respond(request, b"".join([part async for part in request.stream]))


class Peer:
    """Responds to each request with the next of `responses`, and with the last one from then on.

    Attributes:
        requests: what it received.
    """

    def __init__(self, *responses):
        self._responses = list(responses)
        self.requests = []
        self.bodies = []

    def __call__(self, request, body):
        self.requests.append((request.method, str(request.url), dict(request.headers)))
        self.bodies.append(body)
        response = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
        # A response belongs to one request.
        return httpx2.Response(response.status_code, headers=response.headers, content=response.content)

    @property
    def proofs(self):
        """The claims of each proof."""
        return [claims_of(headers["dpop"]) for _, _, headers in self.requests if "dpop" in headers]

    @property
    def nonces(self):
        return [proof.get("nonce") for proof in self.proofs]


def issued(token="t1", *, expires_in=3600, token_type="DPoP", **members):
    body = {"access_token": token, "token_type": token_type, "expires_in": expires_in, **members}
    return httpx2.Response(200, json={name: value for name, value in body.items() if value is not None})


def endpoint_error(error, *, status=400, nonce=None, **members):
    headers = {} if nonce is None else {"DPoP-Nonce": nonce}
    return httpx2.Response(status, headers=headers, json={"error": error, **members})


class Issuing:
    """A token endpoint and an API behind one transport; the API takes every token and shows it.

    Attributes:
        endpoint: the token endpoint.
        tokens: those that the API was sent.
    """

    def __init__(self, *responses):
        self.endpoint = Peer(*responses)
        self.tokens = []

    def __call__(self, request, body):
        if str(request.url) == TOKEN_URL:
            return self.endpoint(request, body)
        self.tokens.append(request.headers["authorization"].removeprefix("DPoP "))
        return httpx2.Response(200)

    @property
    def forms(self):
        return [parse_qs(body.decode()) for body in self.endpoint.bodies]


def file_of(stack):
    """One that is not read from its beginning."""
    file = stack.enter_context(TemporaryFile())  # noqa: SIM115 - the stack is one
    file.write(b"skipped" + b"x" * 100_000)
    file.seek(len(b"skipped"))
    return file


class Pipe(io.RawIOBase):
    """A file that knows no way back."""

    def __init__(self):
        self._parts = [b"x" * 100_000]

    def readable(self):
        return True

    def read(self, _size=-1):
        return self._parts.pop() if self._parts else b""
