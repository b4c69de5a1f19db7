"""The authorization server's half: DPoP at its token and PAR endpoints (RFC 9449 §5, §8, §10.1)."""

from collections.abc import Iterable
from functools import partial

from starlette.requests import HTTPConnection

from dpop_asgi.asgi.headers import with_exposure, with_nonce, without
from dpop_asgi.asgi.interface import ASGIApp, Headers, Message, Receive, Scope, Send
from dpop_asgi.asgi.public_paths import checked_paths
from dpop_asgi.asgi.rejection_log import RejectionLog
from dpop_asgi.asgi.rejections import has_other_errors, rejection_being_handled, rejection_in
from dpop_asgi.asgi.request_path import all_views, is_ambiguous
from dpop_asgi.asgi.router_inside import RouterInside
from dpop_asgi.asgi.start_line import log_start
from dpop_asgi.asgi.target_uri import PublicURL, RequestURL, TargetURI
from dpop_asgi.core.challenge import ErrorResponse, token_error, unavailable
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.core.options import is_plain_function, require
from dpop_asgi.errors import DPoPError, Refusal
from dpop_asgi.proof_verifier import CheckedProof, ProofVerifier

# The scope key of the `CheckedProof`, or of `None` for a request without a proof.
_PROOF_KEY = "dpop_asgi.verified_proof"
_SERVER_ERROR = 500


class TokenEndpointDPoP:
    """Verifies the proofs of token requests and pushed authorization requests; the endpoint does everything else.

    A request with a proof that fails a check gets the error response of RFC 9449 §5 and §8: 400 and JSON. The endpoint
    gets the others, and `dpop_from` gives it the thumbprint of the key. It may raise any `Refusal`, such as those of
    `requested_key` and `check_grant_key`; the response is 400, too.

    Args:
        app: the authorization server, or one of its endpoints.
        verifier: verifies proofs. Endpoints on one origin share it, since clients keep one nonce per origin.
        paths: of the endpoints, as the router sees them, with the prefix of a mount. Without any, every request.
        required: whether requests without a proof are rejected, too.
        record_later: whether the endpoint records a proof as used, by `record_proof`, once it has authenticated the
            client: then nobody else can fill the store.
        public_url: see `DPoPMiddleware`.
        insecure_http_hosts: see `DPoPMiddleware`.
        target_uri: a custom function from the scope to the target URI, instead of `public_url`.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        verifier: ProofVerifier,
        paths: Iterable[str] = (),
        required: bool = False,
        record_later: bool = False,
        public_url: str | Iterable[str] | None = None,
        insecure_http_hosts: Iterable[str] = (),
        target_uri: TargetURI | None = None,
    ) -> None:
        require("verifier", isinstance(verifier, ProofVerifier), "a ProofVerifier")
        self._paths = frozenset(path.rstrip("/") for path in checked_paths("paths", paths))
        require("required", isinstance(required, bool), "True or False")
        require("record_later", isinstance(record_later, bool), "True or False")
        require("public_url", public_url is None or target_uri is None, "given without target_uri")
        is_plain = target_uri is None or is_plain_function(target_uri)
        require("target_uri", is_plain, "a function of the scope, neither async nor a class")
        self.app = app
        self._router = RouterInside(app)
        self._verifier = verifier
        self._has_started = False
        self._log = RejectionLog()
        self._required = required
        self._record_later = record_later
        self._target_uri = target_uri or (
            RequestURL() if public_url is None else PublicURL(public_url, insecure_http_hosts=insecure_http_hosts)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if not self._has_started:
            self._has_started = True
            log_start(type(self), self._verifier, self._target_uri)
        if scope["type"] == "lifespan":
            await self.app(scope, receive, partial(self._send_lifespan, send))
        elif scope["type"] == "http" and self._is_endpoint(scope):
            await self._respond(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_endpoint(self, scope: Scope) -> bool:
        if not self._paths or is_ambiguous(scope, self._router):
            return True
        # Routers also match a path with a line feed at its end, and redirect or serve one with a slash.
        return any(path.rstrip("/\n") in self._paths for path in all_views(scope, self._router))

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = _Response(scope, send, self._verifier, self._log)
        try:
            if self._required or any(name == b"dpop" for name, _ in scope["headers"]):
                target_uri = partial(self._target_uri, scope)
                request = IncomingRequest(scope["method"], target_uri, scope["headers"])
                proof = await self._verifier.check(request)
                if not self._record_later:
                    await proof.record()
                response.proof = proof
            await self.app({**scope, _PROOF_KEY: response.proof}, receive, response.send)
        except Exception as error:
            if not await response.handles(error):
                raise

    async def _send_lifespan(self, send: Send, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._verifier.self_check.start()
        if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
            await self._verifier.aclose()
        await send(message)


def dpop_from(connection: HTTPConnection) -> str | None:
    """The thumbprint of the key that this request proved to hold: `cnf.jkt` of the tokens to issue (RFC 9449 §6.1).

    Returns:
        The thumbprint (RFC 7638, SHA-256, base64url), or `None` if the request has no proof.

    Raises:
        LookupError: If there is no `TokenEndpointDPoP` around this endpoint: a proof would not be verified; or if the
            proof is to be recorded later, and isn't yet.
    """
    proof = _proof_of(connection)
    if proof is not None and not proof.is_recorded:
        msg = "the proof isn't recorded yet: call `await record_proof(request)` once the client is authenticated"
        raise LookupError(msg)
    return None if proof is None else proof.verified.key_thumbprint


async def record_proof(connection: HTTPConnection) -> str | None:
    """Record the proof of this request as used, unless it is. Returns what `dpop_from` returns.

    For `record_later`: nothing may be done for the request before.

    Raises:
        Refusal: If the proof was used before, or has expired. The response is the middleware's.
        StoreError: If the store can't tell.
        LookupError: If there is no `TokenEndpointDPoP` around this endpoint.
    """
    proof = _proof_of(connection)
    return None if proof is None else (await proof.record()).key_thumbprint


def _proof_of(connection: HTTPConnection) -> CheckedProof | None:
    if _PROOF_KEY not in connection.scope:
        msg = "no TokenEndpointDPoP around this endpoint, or its path is not one of its paths"
        raise LookupError(msg)
    proof: CheckedProof | None = connection.scope[_PROOF_KEY]
    return proof


class _Response:
    """One response: the endpoint's own with a nonce added, or the one to a rejection.

    Attributes:
        proof: the proof of the request, once it is accepted.
    """

    def __init__(self, scope: Scope, send: Send, verifier: ProofVerifier, log: RejectionLog) -> None:
        self.proof: CheckedProof | None = None
        self._scope = scope
        self._send = send
        self._verifier = verifier
        self._log = log
        self._started = False
        self._replaced = False

    async def send(self, message: Message) -> None:
        """The `send` for the endpoint."""
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            # A framework responds with a 500 to exceptions that it has no handler for.
            rejection = rejection_being_handled() if message["status"] == _SERVER_ERROR else None
            if rejection is not None:
                await self._replace(await self._rendered(rejection))
                return
            self._started = True
            if self.proof is not None:
                headers = self._with_nonce(list(message.get("headers", ())), self.proof)
                message = {**message, "headers": with_exposure(headers, self._scope["headers"])}
        await self._send(message)

    async def handles(self, error: Exception) -> bool:
        """Respond to an error, if it is a rejection. Returns whether it is handled, so that it need not be raised."""
        rejection = rejection_in(error)
        if rejection is None or self._started:
            return False
        if not self._replaced:
            await self._replace(await self._rendered(rejection))
        return not has_other_errors(error)

    async def _rendered(self, error: DPoPError) -> ErrorResponse:
        if isinstance(error, Refusal):
            self._log.rejected(error, self._scope)
            try:
                return token_error(error, nonce=await self._verifier.challenge_nonce(error))
            except DPoPError as store_error:
                error = store_error
        self._log.unavailable(error, self._scope)
        return unavailable()

    async def _replace(self, response: ErrorResponse) -> None:
        self._replaced = True
        headers = with_exposure(list(response.headers), self._scope["headers"])
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = b"" if self._scope["method"] == "HEAD" else response.body
        await self._send({"type": "http.response.body", "body": body})

    def _with_nonce(self, headers: Headers, proof: CheckedProof) -> Headers:
        """RFC 9449 §8.2: a newer nonce on any response to a proof, which then must not be cached."""
        if proof.verified.nonce is None:
            return headers
        nonce = self._verifier.replacement_nonce(proof.verified)
        return without(headers, b"dpop-nonce") if nonce is None else with_nonce(headers, nonce)
