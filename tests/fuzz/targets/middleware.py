"""A whole request in process: what gets through is what RFC 9449 lets through, and every answer is a proper one."""

import asyncio
from dataclasses import replace
from posixpath import normpath
from typing import Any
from urllib.parse import unquote

from dpop_asgi import (
    AccessToken,
    Authenticator,
    DPoPMiddleware,
    InsufficientScope,
    InvalidToken,
    MemoryStore,
    NoncePolicy,
    Reason,
)
from dpop_asgi.testing import ManualClock
from tests.differential.drafts import NOW, PERIOD, SLOT, nonce_of
from tests.differential.drawn import Drawn
from tests.differential.stopwatch import aside
from tests.differential.verifier import RefusedError, Request, verify
from tests.fuzz.catalogue import Target, demand, run
from tests.fuzz.drawn_requests import BINDINGS, SERVERS, Scope, drawn_scope
from tests.fuzz.targets.credentials import judged
from tests.fuzz.targets.target_uri import has_dot_segments, path_by_hand
from tests.support.challenges import checked_challenges


def make() -> Target:
    return lambda data: run(_Exchange(Drawn(data)).run())


async def _verify_token(token: str) -> AccessToken:
    if token not in BINDINGS:
        raise InvalidToken(Reason.TOKEN_REJECTED)
    return AccessToken(subject="alice", key_thumbprint=BINDINGS[token])


class _Exchange:
    """One server, one request, and then the same request once more."""

    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn
        self.server = drawn.pick(SERVERS)
        self.clock = ManualClock(NOW)
        self.store = MemoryStore(clock=self.clock)
        usual = {"nonces": NoncePolicy(), "store": self.store, "clock": self.clock, "verify_token": _verify_token}
        authenticator = Authenticator(**{**usual, **self.server.decision})
        self.app = DPoPMiddleware(self.inner, authenticator=authenticator, **self.server.options)
        self.inside = drawn.below(8)
        self.reached: Scope | None = None
        self.sent: list[dict[str, Any]] = []
        self.scope = aside(drawn_scope)(drawn, self.server)

    async def run(self) -> None:
        # Agreed beforehand, so that an input which was kept finds the same ones.
        for slot in range(SLOT - 2, SLOT + 12):
            await self.store.put_if_absent(f"dpop:nonce:v1:{PERIOD}:{slot}", nonce_of(slot), ttl=1e6)
        accepted = await self.request()
        self.clock.advance(self.drawn.pick((0, 0, 1, 59, 299, 301)))
        again = await self.request()
        demand(not (accepted and again), "accepted twice")
        await asyncio.sleep(0)

    async def inner(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached = scope
        if self.inside == 7:
            raise InsufficientScope("orders:read")
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept", "headers": []})
            return
        status = 500 if self.inside == 6 else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"dpop-nonce", b"of-the-app")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def request(self) -> bool:
        """Whether a proof was accepted."""
        self.reached, self.sent = None, []
        scope = {**self.scope, "headers": list(self.scope["headers"])}

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: dict[str, Any]) -> None:
            self.sent.append(message)

        await self.app(scope, receive, send)
        self.check_answer()
        return self.reached is not None and self.check_passage()

    def check_passage(self) -> bool:
        """The app was reached: by whom, and was that right?"""
        state = self.reached.get("state") or {}
        caller = state.get("dpop")
        if caller is None:
            demand(self.is_open(), "let through without credentials")
            return False
        said = judged(self.scope["headers"])
        demand(type(said) is tuple, "let through without one access token")
        scheme, token = said
        demand(caller.key_thumbprint == BINDINGS.get(token, ""), "let through with somebody else's token")
        if scheme == "Bearer":
            demand(self.server.mixed and BINDINGS[token] is None, "let through as Bearer")
            return False
        self.check_proof(token)
        of_the_app = (b"dpop-nonce", b"of-the-app") in self.sent[0].get("headers", ())
        demand(not (of_the_app and self.server.nonces), "a nonce that the app made up")
        return True

    @aside
    def check_proof(self, token: str) -> None:
        proofs = [value for name, value in self.scope["headers"] if name == b"dpop"]
        slot = int(self.clock.now // PERIOD)
        request = Request(
            method=self.scope.get("method", "GET"),
            uri="",
            token=token,
            jkt=BINDINGS[token] or "",
            now=self.clock.now,
            nonces=frozenset(nonce_of(slot + ahead) for ahead in (-1, 0, 1)) if self.server.nonces else None,
            websocket=self.scope["type"] == "websocket",
        )
        refusals = []
        for base in self.server.bases:
            try:
                verify(proofs, replace(request, uri=base + path_by_hand(self.scope)))
            except RefusedError as refused:
                refusals.append(str(refused))
        demand(len(refusals) < len(self.server.bases), f"let through, although: {refusals}")
        demand(not has_dot_segments(path_by_hand(self.scope)), "routed by another path")

    def is_open(self) -> bool:
        """Configured paths as they are written, and behind a guard CORS preflights."""
        return ("public_paths" in self.server.options and stays_open(self.scope)) or self.is_guarded()

    def is_guarded(self) -> bool:
        return self.server.options.get("preflights") == "pass" and is_preflight(self.scope)

    def check_answer(self) -> None:
        """A whole answer; every refusal has a challenge, and every challenge a nonce, while nonces are on."""
        start = self.sent[0]
        if start["type"] in {"websocket.accept", "websocket.close"}:
            demand(len(self.sent) == 1, "more than one answer")
            return
        demand([message["type"].rpartition(".")[2] for message in self.sent] == ["start", "body"], "not one answer")
        headers = tuple(start["headers"])
        if self.reached is not None and (self.reached.get("state") or {}).get("dpop") is None and self.is_guarded():
            demand(start["status"] == (403 if self.inside > 5 else 200), f"answered a preflight {start['status']}")
            demand((headers, self.sent[1]["body"]) == (((b"content-length", b"0"),), b""), "answered a preflight more")
            return
        if self.reached is not None and self.inside != 7:
            return
        demand(start["status"] in {400, 401, 403}, f"answered {start['status']}")
        demand(checked_challenges(headers), "no challenge")
        offered = [value.decode() for name, value in headers if name == b"dpop-nonce"]
        slot = int(self.clock.now // PERIOD)
        expected = self.server.nonces and start["status"] == 401
        demand(len(offered) == expected, f"{len(offered)} nonces with {start['status']}")
        demand(set(offered) <= {nonce_of(slot), nonce_of(slot + 1)}, "a nonce that is not good")
        demand((b"cache-control", b"no-store") in headers, "can be cached")


def stays_open(scope: Scope) -> bool:
    """Whether a path is open however often something behind us decodes it, and whatever it takes for a slash."""
    path = scope["path"]
    for _ in range(4):
        plain = path.replace("\\", "/")
        for text in (path, normpath(plain) + "/" * plain.endswith("/"), normpath("/" + plain.lstrip("/"))):
            if text != "/healthz" and not text.startswith("/open/") and text.rstrip("/") != "/open":
                return False
        path = unquote(path, errors="surrogateescape")
    return True


def is_preflight(scope: Scope) -> bool:
    """WHATWG Fetch §4.8: one origin, one method, no credentials, no body."""
    sent: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        sent.setdefault(name, []).append(value)
    origins, methods = sent.get(b"origin", []), sent.get(b"access-control-request-method", [])
    if (scope["type"], scope.get("method"), len(origins), len(methods)) != ("http", "OPTIONS", 1, 1):
        return False
    scheme, mark, host = origins[0].partition(b"://")
    is_origin = origins == [b"null"] or (mark and scheme and host and not set(scheme + host) & set(b" \t/?#@,"))
    return bool(is_origin and methods[0] and not sent.keys() & {b"authorization", b"dpop", b"cookie"})
