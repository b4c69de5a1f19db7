"""How this server authenticates to an authorization server: by a secret (RFC 6749 §2.3.1) or by a key (RFC 7523)."""

import json
import secrets
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote_plus

from dpop_asgi.core.encoding import b64url_encode
from dpop_asgi.core.options import one_or_more, require, require_clock
from dpop_asgi.core.ports import Clock
from dpop_asgi.core.private_key import PrivateKey

# For a call that takes seconds, and for clocks that differ.
_ASSERTION_SECONDS = 60

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# What a key signs with if its JWK does not say.
_USUAL_ALGORITHMS = {"EC": "ES256", "RSA": "PS256", "OKP": "EdDSA"}


class ClientAuthentication(Protocol):
    """What a request needs in addition: headers, and members of the form."""

    def __call__(self, audience: str, /) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """For one request to an authorization server that calls itself `audience`."""
        ...


def client_authentication(
    client_id: str, client_secret: str | None, private_key: Mapping[str, Any] | None, *, clock: Clock
) -> ClientAuthentication:
    """By whichever is given.

    Args:
        client_id: the client.
        client_secret: its secret.
        private_key: its private key as a JWK, instead.
        clock: seconds since the epoch.

    Raises:
        ValueError: If the options do not fit; the message names one.
    """
    require_clock(clock)
    one_or_more("client_id", [client_id], "the identifier of this API as a client of the issuer")
    by_secret, by_key = client_secret is not None, private_key is not None
    require("client_secret", by_secret or by_key, "set, or private_key instead")
    require("private_key", not (by_secret and by_key), "given without client_secret")
    if private_key is not None:
        given: object = private_key
        require("private_key", isinstance(given, Mapping), "a private key as a JWK, a dictionary")
        return _PrivateKeyJWT(client_id, private_key, clock=clock)
    (secret,) = one_or_more("client_secret", [client_secret], "a secret, not empty")
    return _SecretBasic(client_id, secret)


class _SecretBasic:
    """HTTP Basic with both parts form-encoded (RFC 6749 §2.3.1): a colon or a percent sign may be in them."""

    def __init__(self, client_id: str, client_secret: str) -> None:
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        self._headers = {"authorization": f"Basic {b64encode(pair.encode('ascii')).decode('ascii')}"}

    def __call__(self, _: str, /) -> tuple[Mapping[str, str], Mapping[str, str]]:
        return self._headers, {}


class _PrivateKeyJWT:
    """`private_key_jwt` (OpenID Connect Core §9, RFC 7523 §2.2): an assertion per request."""

    def __init__(self, client_id: str, members: Mapping[str, Any], *, clock: Clock) -> None:
        algorithm = members.get("alg") or _USUAL_ALGORITHMS.get(str(members.get("kty")))
        key = _imported(str(algorithm), members)
        require("private_key", key is not None, "a private JWK whose alg, if any, fits its key")
        self._key: Any = key
        self._client_id = client_id
        self._clock = clock
        header = {"alg": algorithm, "typ": "JWT", **({"kid": members["kid"]} if "kid" in members else {})}
        self._header = _encoded(header)

    def __call__(self, audience: str, /) -> tuple[Mapping[str, str], Mapping[str, str]]:
        now = int(self._clock())
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": audience,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }
        signed = f"{self._header}.{_encoded(claims)}"
        assertion = f"{signed}.{b64url_encode(self._key.sign(signed.encode('ascii')))}"
        return {}, {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}


def _imported(algorithm: str, members: Mapping[str, Any]) -> PrivateKey | None:
    try:
        return PrivateKey.from_jwk(algorithm, members)
    except Exception:  # noqa: BLE001 - whatever a malformed key triggers in a library; it may quote the key
        return None


def _encoded(members: Mapping[str, Any]) -> str:
    return b64url_encode(json.dumps(members, separators=(",", ":")).encode("utf-8"))
