"""A small authorization server that issues DPoP-bound access tokens, configured through the environment.

    DPOP_ISSUER=http://127.0.0.1:8001 DPOP_AUDIENCE=https://api.example.com \
        uvicorn examples.authorization_server:app --port 8001

The variables are those of examples/resource_server.py where they fit; DPOP_ISSUER is this server. Its user agrees to
everything. Codes are in memory: it runs in one process.
"""

import base64
import hashlib
import os
import re
import secrets
import time
from hmac import compare_digest
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_plus, urlencode

from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dpop_asgi import (
    InvalidProof,
    ProofVerifier,
    Reason,
    TokenEndpointDPoP,
    check_grant_key,
    record_proof,
    requested_key,
)
from dpop_asgi.settings import Settings

settings = Settings.from_environment()
ISSUER, AUDIENCE, SCOPES = os.environ["DPOP_ISSUER"], os.environ["DPOP_AUDIENCE"], {"orders:read", "orders:write"}
# A client without a secret is a public one: its tokens must be bound (RFC 9449 §5).
CLIENTS = {"demo": "demo-secret", "demo-app": None}
# Programs on the user's machine choose the port when they ask (RFC 8252 §7.3).
REDIRECT_URI = re.compile(r"http://127\.0\.0\.1:\d{1,5}/callback")
CODE_LIFE, TOKEN_LIFE, REFRESH_LIFE = 60, 300, 86400  # seconds
MOST_GRANTS, MOST_BYTES = 10_000, 16_384  # anyone can ask for codes, and send forms
NO_STORE, PUSHED = {"cache-control": "no-store"}, "urn:ietf:params:oauth:request_uri:"

api = settings.authenticator  # for its options
namespace, policy = f"{api.namespace}-as", api.proof_policy
verifier = ProofVerifier(store=api.store, proof_policy=policy, nonces=api.nonce_policy, namespace=namespace)
signing_key = ECKey.generate_key("P-256")
HEADER = {"alg": "ES256", "kid": signing_key.thumbprint()}


def error(code: str, description: str, status: int = 400) -> HTTPException:
    """An error response (RFC 6749 §5.2)."""
    headers = {"www-authenticate": 'Basic realm="token"'} if code == "invalid_client" else {}
    return HTTPException(status, {"error": code, "error_description": description}, headers)  # type: ignore[arg-type]


class Grant(NamedTuple):
    """What the user agreed to, and the thumbprint of the key that it is bound to, if any."""

    client: str
    asked: dict[str, str]
    bound_to: str | None


class UsedOnce:
    """Grants that were handed out for a code or the like, which brings each back once, and not too late."""

    def __init__(self, life: float) -> None:
        self._life = life
        self._grants: dict[str, tuple[float, Grant]] = {}

    def keep(self, grant: Grant) -> str:
        """The code for a grant."""
        now, code = time.time(), secrets.token_urlsafe(32)
        self._grants = {known: kept for known, kept in self._grants.items() if kept[0] > now}
        if len(self._grants) >= MOST_GRANTS:
            raise error("temporarily_unavailable", "Too many requests are pending", 503)
        self._grants[code] = now + self._life, grant
        return code

    def take(self, code: str | None, client: str) -> Grant:
        """The grant for a code."""
        until, grant = self._grants.pop(code or "", (0.0, None))
        if grant is None or until < time.time() or grant.client != client:
            raise error("invalid_grant", "The grant is unknown, used, expired, or another client's")
        return grant


codes, pushed, refresh_tokens = UsedOnce(CODE_LIFE), UsedOnce(CODE_LIFE), UsedOnce(REFRESH_LIFE)


async def read(request: Request) -> tuple[dict[str, str], str]:
    """The form, with no parameter repeated (RFC 6749 §3.2), and the client that sent it (§2.3.1)."""
    if int(request.headers.get("content-length", MOST_BYTES + 1)) > MOST_BYTES:
        raise error("invalid_request", "The form is too large")
    form = parse_qsl((await request.body()).decode("latin-1"), keep_blank_values=True)
    given = dict(form)
    if len(given) != len(form):
        raise error("invalid_request", "A parameter is repeated")
    client, secret = given.get("client_id", ""), given.pop("client_secret", None)
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client, secret = map(unquote_plus, base64.b64decode(credentials).decode().split(":"))
        except ValueError:
            raise error("invalid_client", "Malformed credentials", 401) from None
    is_right = compare_digest((secret or "").encode(errors="replace"), (CLIENTS.get(client) or "").encode())
    if client not in CLIENTS or given.get("client_id", client) != client or not is_right:
        raise error("invalid_client", "Unknown client, or wrong secret", 401)
    return given, client


def agreed(given: dict[str, str], client: str, key: str | None = None) -> Grant:
    """The grant for an authorization request; `key` is that of its proof (RFC 9449 §10, §10.1)."""
    is_known = client in CLIENTS and REDIRECT_URI.fullmatch(given.get("redirect_uri", ""))
    if not is_known or "request_uri" in given:
        raise error("invalid_request", "Unknown client_id, redirect_uri or request_uri")
    flow = given.get("response_type"), given.get("code_challenge_method")
    if flow != ("code", "S256") or not given.get("code_challenge"):
        raise error("invalid_request", "Only the code flow with PKCE (S256) is supported")
    return Grant(client, given, requested_key(given.get("dpop_jkt"), key))


async def par(request: Request) -> Response:
    """Pushed authorization requests (RFC 9126)."""
    given, client = await read(request)
    name = pushed.keep(agreed(given, client, await record_proof(request)))
    return JSONResponse({"request_uri": PUSHED + name, "expires_in": CODE_LIFE}, 201, NO_STORE)


async def authorize(request: Request) -> Response:
    """A real server asks its user to sign in and to agree, and redirects with errors as well."""
    given, client = dict(request.query_params), request.query_params.get("client_id", "")
    name = given.get("request_uri", "").removeprefix(PUSHED)
    grant = pushed.take(name, client) if name else agreed(given, client)
    state = {name: value for name, value in grant.asked.items() if name == "state"}
    answer = {"code": codes.keep(grant), "iss": ISSUER, **state}
    return RedirectResponse(f"{grant.asked['redirect_uri']}?{urlencode(answer)}", 303, NO_STORE)


async def token(request: Request) -> Response:
    """Client credentials, authorization codes and refresh tokens."""
    given, client = await read(request)
    # Only now, so that those who are no clients can't fill the store.
    key, kind, is_public = await record_proof(request), given.get("grant_type"), CLIENTS[client] is None
    if is_public and key is None:
        raise InvalidProof(Reason.PROOF_MISSING)
    if kind == "client_credentials" and not is_public:
        return issued(client, client, given, key)
    if kind not in {"authorization_code", "refresh_token"}:
        raise error("unsupported_grant_type", "This client can't use this grant_type")
    if kind == "authorization_code":
        grant = codes.take(given.get("code"), client)
        digest = hashlib.sha256(given.get("code_verifier", "").encode(errors="replace")).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=")  # RFC 7636 §4.6
        is_verified = compare_digest(challenge, grant.asked["code_challenge"].encode(errors="replace"))
        if given.get("redirect_uri") != grant.asked["redirect_uri"] or not is_verified:
            raise error("invalid_grant", "redirect_uri or code_verifier is wrong")
    else:
        grant = refresh_tokens.take(given.get("refresh_token"), client)
    check_grant_key(grant.bound_to, key)
    refresh_token = refresh_tokens.keep(Grant(client, grant.asked, key if is_public else None))
    return issued("alice", client, grant.asked, key, refresh_token=refresh_token)


def issued(subject: str, client: str, asked: dict[str, str], key: str | None, **more: str) -> Response:
    """An access token (RFC 9068), bound to the key if there is one (RFC 9449 §6.1)."""
    now, scope = int(time.time()), " ".join(SCOPES.intersection(asked.get("scope", "orders:read").split()))
    claims: dict[str, object] = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "client_id": client, "scope": scope}
    claims |= {"iat": now, "exp": now + TOKEN_LIFE, "jti": secrets.token_urlsafe()}
    claims |= {"cnf": {"jkt": key}} if key else {}
    signed = jwt.encode({**HEADER, "typ": "at+jwt"}, claims, signing_key)
    answer = {"access_token": signed, "token_type": "DPoP" if key else "Bearer", "scope": scope, **more}
    return JSONResponse({**answer, "expires_in": TOKEN_LIFE}, headers=NO_STORE)


async def failed(_: Request, exception: Exception) -> Response:
    """The response to an error."""
    status, content, headers = (getattr(exception, name) for name in ("status_code", "detail", "headers"))
    return JSONResponse(content, status, {**NO_STORE, **(headers or {})})


METADATA = {  # RFC 8414
    "issuer": ISSUER,
    "jwks_uri": f"{ISSUER}/jwks",
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "pushed_authorization_request_endpoint": f"{ISSUER}/par",
    "response_types_supported": ["code"],
    "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
    "code_challenge_methods_supported": ["S256"],
    "authorization_response_iss_parameter_supported": True,
    "dpop_signing_alg_values_supported": list(verifier.proof_policy.algorithms),
}
routes = [
    Route("/authorize", authorize),
    Route("/par", par, methods=["POST"]),
    Route("/token", token, methods=["POST"]),
    Route("/jwks", JSONResponse({"keys": [{**signing_key.as_dict(private=False), **HEADER}]})),
    Route("/.well-known/oauth-authorization-server", JSONResponse(METADATA)),
]
app = Starlette(routes=routes, exception_handlers={HTTPException: failed})
app.add_middleware(
    TokenEndpointDPoP,
    verifier=verifier,
    public_url=settings.public_url or ISSUER,
    insecure_http_hosts=settings.insecure_http_hosts,
    record_later=True,
)
