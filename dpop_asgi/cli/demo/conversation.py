"""What the demo tries, in this order. A few steps need time to pass: how much is computed, never guessed."""

import math
import time
from collections.abc import Callable, Iterator

from dpop_asgi.cli.demo.client import DemoClient
from dpop_asgi.cli.demo.servers import CannotRun
from dpop_asgi.cli.demo.steps import Expected, Step
from dpop_asgi.errors import Reason
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.testing import Client, Issuer

# Long enough for three requests with one nonce on a busy machine, short enough to be waited for.
NONCES = NoncePolicy(period=2.0, grace=1)

# See NoncePolicy: in the last fifth of a slot the nonce of the next one is handed out.
_LATE_IN_SLOT = 0.8

# As far into the next slot the nonce of the last one is surely of the past, and still good for most of a period.
_INTO_SLOT = 0.3
_MARGIN_SECONDS = 0.1

# A machine that is too slow so many times in a row will not get faster: then the answers are shown as they are.
_TRIES = 5

_YESTERDAY_SECONDS = 86_400

# Steps, and the instant until which they had to be done to mean something.
_Attempt = tuple[list[Step], float]


class Conversation:
    """A client, a thief, and a server that rotates its nonces as `NONCES` says.

    Args:
        api: sends requests to the server.
        url: of the server.
        issuer: of the access token.
        wait: waits until an instant, in seconds since the epoch, and says why.
    """

    def __init__(self, api: DemoClient, url: str, issuer: Issuer, wait: Callable[[float, str], None]) -> None:
        self.client: Client = Client()
        self.thief: Client = Client()
        self.token: str = issuer.access_token(self.client)
        self._api = api
        self._url = url
        self._wait = wait
        self._old_nonce, self._old_slot = "", 0

    def steps(self) -> Iterator[Step]:
        """Each step, once it was tried."""
        yield self._without_credentials()
        yield from _in_time(self._challenge_retry_replay)
        yield from _in_time(self._nonce_of_last_slot)
        yield from _in_time(self._nonce_past_the_window)
        yield self._as_bearer()
        yield from _in_time(self._by_another_key)
        yield from _in_time(self._for_another_url)
        yield from _in_time(self._of_yesterday)
        yield self._websocket_without_proof()
        yield from _in_time(self._websocket_echo)

    def _headers(self, path: str = "/resource", **changes: object) -> dict[str, str]:
        return self.client.headers("GET", self._url + path, self.token, **changes)

    def _fresh_nonce(self) -> tuple[str, int]:
        """A nonce, as every 401 brings one, and its slot, known because the slot did not change during the request."""
        for _ in range(_TRIES):
            before = _slot_handed_out(time.time())
            answer = self._api.get("/resource", {})
            if answer.nonce is None:
                msg = f"The resource server answers {answer.status} without a nonce: {answer.log}"
                raise CannotRun(msg)
            if _slot_handed_out(time.time()) == before:
                return answer.nonce, before
        msg = "This machine is too slow: no request to it is answered before the nonce has rotated."
        raise CannotRun(msg)

    def _without_credentials(self) -> Step:
        return Step(
            title="No credentials",
            sentence="Somebody calls the API with nothing at all. The answer says what is wanted here.",
            expected=Expected(status=401, reason=Reason.AUTHORIZATION_MISSING),
            seen=self._api.get("/resource", {}),
        )

    def _challenge_retry_replay(self) -> _Attempt:
        slot = _slot_handed_out(time.time())
        challenge = Step(
            title="Proof without nonce",
            sentence="The client proves that it holds the key its token is bound to. The server also wants to know "
            "that the proof was made just now, and hands out a nonce to put into it.",
            look_at="nonce",
            expected=Expected(status=401, error="use_dpop_nonce", reason=Reason.NONCE_MISSING, new_nonce=True),
            seen=self._api.get("/resource", self._headers()),
        )
        nonce = challenge.seen.nonce
        headers = self._headers(nonce=nonce)
        accepted = Step(
            title="Same with the nonce",
            sentence="The client makes a new proof with the nonce in it, and is let in. (For the first token "
            "of all the server fetches the issuer's keys.)",
            look_at="nonce",
            nonce=nonce,
            expected=Expected(status=200),
            seen=self._api.get("/resource", headers),
        )
        replay = Step(
            title="The same proof again",
            sentence="A thief has recorded that request and sends it once more. A proof is good for one request.",
            look_at="jti",
            nonce=nonce,
            expected=Expected(status=401, error="invalid_dpop_proof", reason=Reason.PROOF_REPLAYED),
            seen=self._api.get("/resource", headers),
        )
        return [challenge, accepted, replay], _refused_from(slot)

    def _nonce_of_last_slot(self) -> _Attempt:
        self._old_nonce, self._old_slot = nonce, slot = self._fresh_nonce()
        self._wait((slot + 1 + _INTO_SLOT) * NONCES.period, "until the server has rotated its nonce")
        step = Step(
            title="A rotated nonce",
            sentence="Meanwhile the server has a new nonce. The one before is still good, so nobody is turned away; "
            "the answer brings the new one along.",
            look_at="nonce",
            nonce=nonce,
            expected=Expected(status=200, new_nonce=True),
            seen=self._api.get("/resource", self._headers(nonce=nonce)),
        )
        return [step], _refused_from(slot)

    def _nonce_past_the_window(self) -> _Attempt:
        nonce = self._old_nonce
        self._wait(_refused_from(self._old_slot) + _MARGIN_SECONDS, "until that nonce has left the window")
        slot = _slot_handed_out(time.time())
        refused = Step(
            title="Nonce past the window",
            sentence="The client was asleep, and comes back with the nonce it knew. It is too old, and the server "
            "hands out one that is good.",
            look_at="nonce",
            nonce=nonce,
            expected=Expected(status=401, error="use_dpop_nonce", reason=Reason.NONCE_EXPIRED, new_nonce=True),
            seen=self._api.get("/resource", self._headers(nonce=nonce)),
        )
        accepted = Step(
            title="Same with a new nonce",
            sentence="One more try with the new nonce, and the client is back in.",
            look_at="nonce",
            nonce=refused.seen.nonce,
            expected=Expected(status=200),
            seen=self._api.get("/resource", self._headers(nonce=refused.seen.nonce)),
        )
        return [refused, accepted], _refused_from(slot)

    def _as_bearer(self) -> Step:
        return Step(
            title="The token as Bearer",
            sentence="A thief has stolen the access token. Without the client's key it is worth nothing.",
            expected=Expected(status=401, error="invalid_token", reason=Reason.BEARER_NOT_ACCEPTED),
            seen=self._api.get("/resource", {"Authorization": f"Bearer {self.token}"}),
        )

    def _by_another_key(self) -> _Attempt:
        nonce, slot = self._fresh_nonce()
        headers = self.thief.headers("GET", f"{self._url}/resource", self.token, nonce=nonce)
        step = Step(
            title="Proof by another key",
            sentence="The thief makes a proof with a key of their own. It is not the key the token is bound to.",
            look_at="key",
            nonce=nonce,
            expected=Expected(status=401, error="invalid_token", reason=Reason.BINDING_MISMATCH),
            seen=self._api.get("/resource", headers),
        )
        return [step], _refused_from(slot)

    def _for_another_url(self) -> _Attempt:
        nonce, slot = self._fresh_nonce()
        step = Step(
            title="Proof for another URL",
            sentence="Somebody takes a proof that the client made for one URL, and uses it on another.",
            look_at="htu",
            nonce=nonce,
            expected=Expected(status=401, error="invalid_dpop_proof", reason=Reason.TARGET_MISMATCH),
            seen=self._api.get("/resource", self._headers("/files/holiday.jpg", nonce=nonce)),
        )
        return [step], _refused_from(slot)

    def _of_yesterday(self) -> _Attempt:
        nonce, slot = self._fresh_nonce()
        yesterday = {"iat": int(time.time()) - _YESTERDAY_SECONDS}
        step = Step(
            title="Proof of yesterday",
            sentence="The proof carries a good nonce, but says that it was made yesterday.",
            look_at="iat",
            nonce=nonce,
            expected=Expected(status=401, error="invalid_dpop_proof", reason=Reason.ISSUED_TOO_EARLY),
            seen=self._api.get("/resource", self._headers(nonce=nonce, claims=yesterday)),
        )
        return [step], _refused_from(slot)

    def _websocket_without_proof(self) -> Step:
        return Step(
            title="WebSocket, no proof",
            sentence="The same rules hold for a WebSocket: the handshake needs a proof as well as a token.",
            expected=Expected(status=401, error="invalid_dpop_proof", reason=Reason.PROOF_MISSING),
            seen=self._api.echo("/ws", {"Authorization": f"DPoP {self.token}"}),
        )

    def _websocket_echo(self) -> _Attempt:
        nonce, slot = self._fresh_nonce()
        step = Step(
            title="WebSocket with proof",
            sentence="With a proof for its URL the WebSocket opens, and echoes what the client says.",
            look_at="htu",
            nonce=nonce,
            expected=Expected(status=101, content="hello"),
            seen=self._api.echo("/ws", self._headers("/ws", nonce=nonce)),
        )
        return [step], _refused_from(slot)


def _in_time(attempt: Callable[[], _Attempt]) -> list[Step]:
    """The steps of an attempt; of a new one if the machine was so slow that a nonce grew old on the way."""
    for _ in range(_TRIES):
        steps, until = attempt()
        if time.time() < until:
            break
    return steps


def _slot_handed_out(now: float) -> int:
    """Whose nonce the server hands out."""
    return math.floor(now / NONCES.period + 1 - _LATE_IN_SLOT)


def _refused_from(slot: int) -> float:
    """The instant from which the nonce of a slot is refused, in seconds since the epoch."""
    return (slot + 1 + NONCES.grace) * NONCES.period
