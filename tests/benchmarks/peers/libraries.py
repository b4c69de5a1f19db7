"""What is written around a JOSE library before `by_hand.ResourceServer` can use it."""

from typing import Any

import jwt
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jws
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, import_key

from tests.benchmarks.peers.api import ProtectedAPI
from tests.benchmarks.peers.by_hand import PROOF_CLAIMS, TOKEN_CLAIMS, Refused, check_header

# What the libraries raise for hostile input, beside their own errors.
_HOSTILE = (ValueError, TypeError, KeyError, RecursionError)
_TOKEN_TYPES = {"at+jwt", "application/at+jwt"}
_MAX_HEADER = 4096


class WithPyJWT:
    """PyJWT for both. The times of a proof are not its business: `iat` is judged by whoever asks."""

    def __init__(self, api: ProtectedAPI) -> None:
        self._api = api
        self._keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(api.jwks).keys}
        strict = {"enforce_minimum_key_length": True}
        self._proof_options = {**strict, "require": PROOF_CLAIMS, "verify_aud": False, "verify_iat": False}
        self._token_options = {**strict, "require": TOKEN_CLAIMS}

    def proof(self, value: str) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            header = jwt.get_unverified_header(value)
            jwk = check_header(header, self._api.algorithms)
            key = jwt.PyJWK(jwk, header["alg"])
            claims = jwt.decode(value, key, list(self._api.algorithms), self._proof_options)
        except (jwt.PyJWTError, *_HOSTILE) as error:
            raise Refused("invalid_dpop_proof") from error
        return jwk, claims

    def token(self, value: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(value)
            _check_type(header)
            claims = jwt.decode(
                value,
                self._keys[header["kid"]],
                ["ES256"],
                self._token_options,
                audience=self._api.audience,
                issuer=self._api.issuer,
            )
        except (jwt.PyJWTError, *_HOSTILE) as error:
            raise Refused("invalid_token") from error
        return _bound(claims)


class WithJoserfc:
    """joserfc for both; its limit of 512 bytes for a header refuses RSA keys, so it is raised."""

    def __init__(self, api: ProtectedAPI) -> None:
        self._api = api
        self._keys = KeySet.import_key_set(api.jwks)
        self._proofs = jws.JWSRegistry(algorithms=list(api.algorithms))
        self._proofs.max_header_length = _MAX_HEADER
        values = {"iss": api.issuer, "aud": api.audience}
        self._token_claims = joserfc_jwt.JWTClaimsRegistry(
            **{name: {"essential": True, "value": values.get(name)} for name in TOKEN_CLAIMS}
        )

    def _embedded_key(self, signature: Any) -> Any:
        return import_key(check_header(signature.headers(), self._api.algorithms))

    def proof(self, value: str) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            proof = joserfc_jwt.decode(value, self._embedded_key, registry=self._proofs)
        except (JoseError, *_HOSTILE) as error:
            raise Refused("invalid_dpop_proof") from error
        if not all(name in proof.claims for name in PROOF_CLAIMS):
            raise Refused("invalid_dpop_proof")
        return proof.header["jwk"], proof.claims

    def token(self, value: str) -> dict[str, Any]:
        try:
            token = joserfc_jwt.decode(value, self._keys, algorithms=["ES256"])
            _check_type(token.header)
            self._token_claims.validate(token.claims)
        except (JoseError, *_HOSTILE) as error:
            raise Refused("invalid_token") from error
        return _bound(token.claims)


class _Validator(JWTBearerTokenValidator):
    def __init__(self, api: ProtectedAPI) -> None:
        super().__init__(api.issuer, api.audience)
        self._keys = KeySet.import_key_set(api.jwks)

    def get_jwks(self) -> KeySet:
        return self._keys


class WithAuthlib(WithJoserfc):
    """Authlib's validator of RFC 9068 tokens; it has nothing for proofs, and sends its users to joserfc."""

    def __init__(self, api: ProtectedAPI) -> None:
        super().__init__(api)
        self._validator = _Validator(api)

    def token(self, value: str) -> dict[str, Any]:
        try:
            token = self._validator.authenticate_token(value)
            _check_type(token.header)
            if token.header["alg"] != "ES256":
                raise Refused("invalid_token")
            self._validator.validate_token(token, [], None)
        except (OAuth2Error, JoseError, *_HOSTILE) as error:
            raise Refused("invalid_token") from error
        return _bound(dict(token))


def _check_type(header: dict[str, Any]) -> None:
    if str(header.get("typ")).lower() not in _TOKEN_TYPES:
        raise Refused("invalid_token")


def _bound(claims: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(claims.get("cnf"), dict):
        raise Refused("invalid_token")
    return claims
