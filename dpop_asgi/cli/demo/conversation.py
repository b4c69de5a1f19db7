"""The steps of the demo, in order. Some have to wait for nonces to rotate; how long is computed, not guessed."""

import json
import math
import time
from collections.abc import Callable, Iterator
from functools import partial

from dpop_asgi.cli.demo.client import DemoClient
from dpop_asgi.cli.demo.servers import CannotRun
from dpop_asgi.cli.demo.steps import Expected, Step
from dpop_asgi.errors import Reason
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.testing import Client, Issuer

# Long enough for three requests with one nonce on a busy machine, short enough to wait for.
NONCES = NoncePolicy(period=2.0, grace=1)

# See NoncePolicy: in the last fifth of a slot the nonce of the next one is issued.
_LATE_IN_SLOT = 0.8

# This far into a slot, the previous slot's nonce has certainly been replaced, and is valid for most of a period.
_INTO_SLOT = 0.3
_MARGIN_SECONDS = 0.1

# If the machine is too slow this many times in a row, the responses are shown as they are.
_TRIES = 5

_YESTERDAY_SECONDS = 86_400

# Steps, and the time by which they had to be done to be meaningful.
_Attempt = tuple[list[Step], float]


class Conversation:
    """A client, an attacker, and a server that rotates its nonces according to `NONCES`.

    Args:
        api: sends requests to the server.
        url: the server's origin.
        issuer: has a token endpoint.
        wait: waits until a time, in seconds since the epoch, and prints why.
    """

    def __init__(self, api: DemoClient, url: str, issuer: Issuer, wait: Callable[[float, str], None]) -> None:
        self.client: Client = Client()
        self.attacker: Client = Client()
        self.token: str = ""
        self._issuer = issuer
        self._api = api
        self._url = url
        self._wait = wait
        self._old_nonce, self._old_slot = "", 0

    def steps(self) -> Iterator[Step]:
        """Each step, once its response has arrived."""
        yield self._token_request()
        yield self._without_credentials()
        yield from _in_time(self._challenge_retry_replay)
        yield from _in_time(self._nonce_of_last_slot)
        yield from _in_time(self._nonce_past_the_window)
        yield self._as_bearer()
        yield from _in_time(partial(self._with_fresh_nonce, self._by_another_key))
        yield from _in_time(partial(self._with_fresh_nonce, self._for_another_url))
        yield from _in_time(partial(self._with_fresh_nonce, self._of_yesterday))
        yield self._websocket_without_proof()
        yield from _in_time(partial(self._with_fresh_nonce, self._websocket_echo))

    def _headers(self, path: str = "/resource", **changes: object) -> dict[str, str]:
        return self.client.headers("GET", self._url + path, self.token, **changes)

    def _fresh_nonce(self) -> tuple[str, int]:
        """A nonce, taken from a 401, and its slot, which is certain if it did not change during the request."""
        for _ in range(_TRIES):
            before = _slot_issued(time.time())
            challenge = self._api.get("/resource", {})
            if challenge.nonce is None:
                msg = f"The resource server returned {challenge.status} without a nonce: {challenge.log}"
                raise CannotRun(msg)
            if _slot_issued(time.time()) == before:
                return challenge.nonce, before
        msg = "This machine is too slow: no response arrives before the nonce has rotated."
        raise CannotRun(msg)

    def _with_fresh_nonce(self, make: Callable[[str], Step]) -> _Attempt:
        nonce, slot = self._fresh_nonce()
        return [make(nonce)], NONCES.end(slot)

    def _token_request(self) -> Step:
        url = f"{self._issuer.url}/token"
        form = {"grant_type": "authorization_code", "code": "of-a-sign-in", "client_id": "demo-client"}
        seen = self._api.post(url, {"DPoP": self.client.proof("POST", url)}, form)
        self.token = json.loads(seen.content).get("access_token", "")
        return Step(
            title="A token for the key",
            sentence="A user has signed in. The client asks the issuer for the access token, with a proof: the issuer "
            "binds the token to the key of the proof.",
            look_at="key",
            expected=Expected(status=200),
            seen=seen,
        )

    def _without_credentials(self) -> Step:
        return Step(
            title="No credentials",
            sentence="Someone calls the API without credentials. The challenge says what it requires.",
            expected=Expected(status=401, reason=Reason.AUTHORIZATION_MISSING),
            seen=self._api.get("/resource", {}),
        )

    def _challenge_retry_replay(self) -> _Attempt:
        slot = _slot_issued(time.time())
        challenge = Step(
            title="Proof without nonce",
            sentence="The client proves that it holds the key its token is bound to. The server also needs to know "
            "that the proof is new, so it issues a nonce to put into it.",
            look_at="nonce",
            expected=Expected(status=401, error="use_dpop_nonce", reason=Reason.NONCE_MISSING, new_nonce=True),
            seen=self._api.get("/resource", self._headers()),
        )
        nonce = challenge.seen.nonce
        headers = self._headers(nonce=nonce)
        accepted = Step(
            title="Same with the nonce",
            sentence="The client creates a new proof with the nonce in it, and gets access. (For the first token "
            "the server has to fetch the issuer's keys.)",
            look_at="nonce",
            nonce=nonce,
            expected=Expected(status=200),
            seen=self._api.get("/resource", headers),
        )
        replay = Step(
            title="The same proof again",
            sentence="An attacker has recorded that request and sends it again. A proof is valid for one request only.",
            look_at="jti",
            nonce=nonce,
            expected=Expected(status=401, error="invalid_dpop_proof", reason=Reason.PROOF_REPLAYED),
            seen=self._api.get("/resource", headers),
        )
        return [challenge, accepted, replay], NONCES.end(slot)

    def _nonce_of_last_slot(self) -> _Attempt:
        self._old_nonce, self._old_slot = nonce, slot = self._fresh_nonce()
        self._wait((slot + 1 + _INTO_SLOT) * NONCES.period, "until the server has rotated its nonce")
        step = Step(
            title="A rotated nonce",
            sentence="In the meantime, the server has a new nonce. The previous one is still valid, so the request is "
            "accepted, and the response carries the new one.",
            look_at="nonce",
            nonce=nonce,
            expected=Expected(status=200, new_nonce=True),
            seen=self._api.get("/resource", self._headers(nonce=nonce)),
        )
        return [step], NONCES.end(slot)

    def _nonce_past_the_window(self) -> _Attempt:
        nonce = self._old_nonce
        self._wait(NONCES.end(self._old_slot) + _MARGIN_SECONDS, "until that nonce has left the window")
        slot = _slot_issued(time.time())
        rejected = Step(
            title="Nonce past the window",
            sentence="The client was idle, and comes back with its last nonce. It is too old, so the server issues "
            "a new one.",
            look_at="nonce",
            nonce=nonce,
            expected=Expected(status=401, error="use_dpop_nonce", reason=Reason.NONCE_EXPIRED, new_nonce=True),
            seen=self._api.get("/resource", self._headers(nonce=nonce)),
        )
        accepted = Step(
            title="Same with a new nonce",
            sentence="The client tries again with the new nonce, and gets access.",
            look_at="nonce",
            nonce=rejected.seen.nonce,
            expected=Expected(status=200),
            seen=self._api.get("/resource", self._headers(nonce=rejected.seen.nonce)),
        )
        return [rejected, accepted], NONCES.end(slot)

    def _as_bearer(self) -> Step:
        return Step(
            title="The token as Bearer",
            sentence="An attacker has stolen the access token. Without the client's key it is useless.",
            expected=Expected(status=401, error="invalid_token", reason=Reason.BEARER_NOT_ACCEPTED),
            seen=self._api.get("/resource", {"Authorization": f"Bearer {self.token}"}),
        )

    def _by_another_key(self, nonce: str) -> Step:
        headers = self.attacker.headers("GET", f"{self._url}/resource", self.token, nonce=nonce)
        return Step(
            title="Proof by another key",
            sentence="The attacker creates a proof with another key. The token isn't bound to it.",
            look_at="key",
            nonce=nonce,
            expected=Expected(status=401, error="invalid_token", reason=Reason.BINDING_MISMATCH),
            seen=self._api.get("/resource", headers),
        )

    def _for_another_url(self, nonce: str) -> Step:
        return Step(
            title="Proof for another URL",
            sentence="The attacker uses a proof that the client created for one URL on another.",
            look_at="htu",
            nonce=nonce,
            expected=Expected(status=401, error="invalid_dpop_proof", reason=Reason.TARGET_MISMATCH),
            seen=self._api.get("/resource", self._headers("/files/holiday.jpg", nonce=nonce)),
        )

    def _of_yesterday(self, nonce: str) -> Step:
        yesterday = {"iat": int(time.time()) - _YESTERDAY_SECONDS}
        return Step(
            title="Yesterday's proof",
            sentence="The proof carries a valid nonce, but claims that it was created yesterday.",
            look_at="iat",
            nonce=nonce,
            expected=Expected(status=401, error="invalid_dpop_proof", reason=Reason.ISSUED_TOO_EARLY),
            seen=self._api.get("/resource", self._headers(nonce=nonce, claims=yesterday)),
        )

    def _websocket_without_proof(self) -> Step:
        return Step(
            title="WebSocket, no proof",
            sentence="The same rules apply to WebSockets: the handshake needs a proof as well as a token.",
            expected=Expected(status=401, error="invalid_dpop_proof", reason=Reason.PROOF_MISSING),
            seen=self._api.echo("/ws", {"Authorization": f"DPoP {self.token}"}),
        )

    def _websocket_echo(self, nonce: str) -> Step:
        return Step(
            title="WebSocket with proof",
            sentence="With a proof for its URL the WebSocket opens, and echoes what the client sends.",
            look_at="htu",
            nonce=nonce,
            expected=Expected(status=101, content="hello"),
            seen=self._api.echo("/ws", self._headers("/ws", nonce=nonce)),
        )


def _in_time(attempt: Callable[[], _Attempt]) -> list[Step]:
    """The steps of an attempt; it is repeated if the machine was so slow that a nonce expired on the way."""
    for _ in range(_TRIES):
        steps, until = attempt()
        if time.time() < until:
            break
    return steps


def _slot_issued(now: float) -> int:
    """The slot whose nonce the server issues."""
    return math.floor(now / NONCES.period + 1 - _LATE_IN_SLOT)
