"""DPoP for httpx2: `httpx2.Client(auth=DPoPAuth(...))`, and the same for `httpx2.AsyncClient`."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from concurrent.futures import Future
from inspect import isawaitable
from typing import Any

import httpx2

from dpop_asgi.client.bound_tokens import LONGEST_WAIT_SECONDS, BoundTokens, Outcome, Step
from dpop_asgi.client.flow import challenge_error, header_flow
from dpop_asgi.client.key import Key, target
from dpop_asgi.client.nonces import Nonces
from dpop_asgi.client.signed_request import Body, Exchange, bounded, sent
from dpop_asgi.client.token_endpoint import ClientCredentials, TokenError, TokenRequest, is_token
from dpop_asgi.core.htu import is_loopback
from dpop_asgi.core.options import closed_if_coroutine, host_names, require
from dpop_asgi.core.ports import Clock

TokenSource = str | ClientCredentials | Callable[[], str | Awaitable[str]]
_Steps = Generator[Step | Awaitable[str], Any, None]

# In the extensions of a request, which httpx2 copies when it follows a redirect: where the token was sent first.
_FIRST_ORIGIN = "dpop_asgi.origin"

_ENCRYPTED = frozenset({"https", "wss"})


class DPoPAuth(httpx2.Auth):
    """Sends an access token with a proof of possession (RFC 9449 §7), and handles the server's nonces.

    Nonces are learned from every response. After a nonce challenge the request is sent once more, unless its body was
    consumed. A redirect gets a proof of its own on the same origin, and neither token nor proof on another one. Threads
    and tasks may share one.

    Args:
        token: the access token; or a function that returns it, which is called for each request and may be async; or
            how to fetch it.
        key: the key that the token is bound to.
        follow_redirects: whether redirects are followed, instead of by the client of httpx2. It would do so with the
            proof for the first URI, also to another origin.
        insecure_http_hosts: hosts, besides this machine, to which the token may be sent over plain http.
        clock: seconds since the epoch.

    Raises:
        ValueError: If an option is invalid. The message names the option.
    """

    def __init__(
        self,
        token: TokenSource,
        *,
        key: Key,
        follow_redirects: bool = False,
        insecure_http_hosts: Iterable[str] = (),
        clock: Clock = time.time,
    ) -> None:
        fits = callable(token) or isinstance(token, ClientCredentials) or is_token(token)
        require("token", fits, "an access token without its scheme, a function that returns one, or ClientCredentials")
        require("key", isinstance(key, Key), "a Key")
        require("follow_redirects", isinstance(follow_redirects, bool), "True or False")
        self._key = key
        self._follow_redirects = follow_redirects
        self._insecure_http_hosts = host_names("insecure_http_hosts", insecure_http_hosts)
        self._clock = clock
        self._nonces = Nonces()
        self._source = token
        self._bound = BoundTokens(token, key, self._nonces, clock) if isinstance(token, ClientCredentials) else None

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Called by `httpx2.Client`.

        Raises:
            TokenError: If no token is issued.
            ValueError: If `token` is an async function, or returns something that isn't a token; or if the request
                would send the token over plain http.
        """
        steps = self._steps(request)
        try:
            step = next(steps)
            while True:
                result: httpx2.Response | Outcome
                if isinstance(step, httpx2.Request):
                    result = yield step
                    if isinstance(step, TokenRequest):
                        bounded(result).read()
                elif isinstance(step, Future):
                    result = _waited(step)
                else:
                    closed_if_coroutine(step)
                    require("token", fits=False, wanted="a plain function for a client that is not async")
                step = steps.send(result)
        except StopIteration:
            return
        finally:
            steps.close()

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Called by `httpx2.AsyncClient`.

        Raises:
            TokenError: If no token is issued.
            ValueError: If `token` returns something that isn't a token; or if the request would send it over plain
                http.
        """
        steps = self._steps(request)
        try:
            step = next(steps)
            while True:
                result: httpx2.Response | Outcome | str
                if isinstance(step, httpx2.Request):
                    result = yield step
                    if isinstance(step, TokenRequest):
                        await bounded(result).aread()
                elif isinstance(step, Future):
                    result = await _awaited(step)
                else:
                    result = await step
                step = steps.send(result)
        except StopIteration:
            return
        finally:
            steps.close()

    def _steps(self, request: httpx2.Request) -> _Steps:
        """Yields requests to send, and whatever else has to be waited for; the last response is the result."""
        body, token = Body(request), None
        while True:
            url = _url(request)
            if _stays(request, url):
                self._require_encryption(request.url)
                token = token or (yield from self._token(request))
                response = yield from self._signed(request, url, body, token)
            else:
                for name in ("Authorization", "DPoP"):
                    request.headers.pop(name, None)
                response = yield request
                self._learn(response)
            following = self._following(request, response, body)
            if following is None:
                break
            request, body = following, body.again(following)
        if self._bound is not None and token and _stayed(response) and challenge_error(response) == "invalid_token":
            self._bound.forget(token)

    def _require_encryption(self, url: httpx2.URL) -> None:
        is_encrypted = url.scheme in _ENCRYPTED
        if not is_encrypted and url.host not in self._insecure_http_hosts and not is_loopback(url.host):
            msg = f"insecure_http_hosts: without {url.host} in it, no token is sent to {url.scheme}://{url.host}"
            raise ValueError(msg)

    def _following(self, request: httpx2.Request, response: httpx2.Response, body: Body) -> httpx2.Request | None:
        """The request that a redirect leads to, if it is to be sent from here."""
        following = response.next_request if self._follow_redirects else None
        if response.request is not request and _stayed(response) and challenge_error(response) is not None:
            # httpx2 has followed a redirect itself, with the proof for another URI.
            following = response.request
        return None if following is None or body.is_spent_for(following) else following

    def _token(self, request: httpx2.Request) -> Generator[Step | Awaitable[str], Any, str]:
        if isinstance(self._source, str):
            return self._source
        if self._bound is not None:
            return (yield from self._bound.token(request.extensions))
        token: object = self._source()  # type: ignore[operator]
        if isawaitable(token):
            token = yield token
        if not isinstance(token, str) or not is_token(token):
            msg = "token: must return an access token"
            raise ValueError(msg)
        return token

    def _signed(self, request: httpx2.Request, url: str, body: Body, token: str) -> Exchange:
        steps = header_flow(
            request.method,
            url,
            key=self._key,
            nonces=self._nonces,
            access_token=token,
            repeatable=body.repeatable,
            clock=self._clock,
        )
        response = yield from sent(request, body, steps)
        if response.request is not request:
            # The older ones first, so that the last nonce of an origin is kept.
            for one in (*response.history, response):
                self._learn(one)
        return response

    def _learn(self, response: httpx2.Response) -> None:
        self._nonces.learn(target(_url(response.request))[1], response.headers.get("DPoP-Nonce"))


def _url(request: httpx2.Request) -> str:
    """Where a request goes, as sent, but without userinfo."""
    url = request.url
    return f"{url.scheme}://{url.netloc.decode()}{url.raw_path.decode()}"


def _stays(request: httpx2.Request, url: str) -> bool:
    """Whether no redirect on the way to this request led to another origin."""
    origin = target(url)[1]
    if request.extensions.setdefault(_FIRST_ORIGIN, origin) == origin:
        return True
    # Nor does the first origin get a token again: the other one would choose for which URI.
    request.extensions[_FIRST_ORIGIN] = ""
    return False


def _stayed(response: httpx2.Response) -> bool:
    """The same of a response to which httpx2 may have followed redirects."""
    hops = (one.request for one in (*response.history, response))
    return all(_stays(hop, _url(hop)) for hop in hops if not isinstance(hop, TokenRequest))


def _waited(flight: Future[Outcome]) -> Outcome:
    try:
        return flight.result(LONGEST_WAIT_SECONDS)
    except TimeoutError:
        return _too_long()


async def _awaited(flight: Future[Outcome]) -> Outcome:
    try:
        return await asyncio.wait_for(asyncio.wrap_future(flight), LONGEST_WAIT_SECONDS)
    except TimeoutError:
        return _too_long()


def _too_long() -> TokenError:
    return TokenError("the token endpoint does not respond")
