"""What is written around a JOSE library before `by_hand.ResourceServer` can use it."""

from typing import Any

import jwt
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jws
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, import_key

from tests.benchmarks.material import ISSUER, ORIGIN
from tests.benchmarks.peers.by_hand import ALGORITHMS, PROOF_CLAIMS, TOKEN_CLAIMS, Refused, check_header, check_token

# What the libraries raise for hostile input, beside their own errors.
_HOSTILE = (ValueError, TypeError, KeyError, RecursionError)
# That of joserfc, 512 bytes, rejects RSA keys.
_MAX_HEADER = 4096


class WithPyJWT:
    """PyJWT for both. The times of a proof are not its business: `iat` is judged by whoever asks."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        self._keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(jwks).keys}
        strict = {"enforce_minimum_key_length": True}
        self._proof_options = {**strict, "require": PROOF_CLAIMS, "verify_aud": False, "verify_iat": False}
        self._token_options = {**strict, "require": TOKEN_CLAIMS}

    def proof(self, value: str) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            header = jwt.get_unverified_header(value)
            jwk = check_header(header)
            claims = jwt.decode(value, jwt.PyJWK(jwk, header["alg"]), ALGORITHMS, self._proof_options)
        except (jwt.PyJWTError, *_HOSTILE) as error:
            raise Refused("invalid_dpop_proof") from error
        return jwk, claims

    def token(self, value: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(value)
            key = self._keys[header["kid"]]
            claims = jwt.decode(value, key, ALGORITHMS, self._token_options, audience=ORIGIN, issuer=ISSUER)
        except (jwt.PyJWTError, *_HOSTILE) as error:
            raise Refused("invalid_token") from error
        return check_token(header, claims)


class WithJoserfc:
    """joserfc for both."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        self._keys = KeySet.import_key_set(jwks)
        self._proofs = jws.JWSRegistry(algorithms=ALGORITHMS)
        self._proofs.max_header_length = _MAX_HEADER
        values = {"iss": ISSUER, "aud": ORIGIN}
        self._token_claims = joserfc_jwt.JWTClaimsRegistry(
            **{name: {"essential": True, "value": values.get(name)} for name in TOKEN_CLAIMS}
        )

    def proof(self, value: str) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            proof = joserfc_jwt.decode(
                value, lambda signature: import_key(check_header(signature.headers())), registry=self._proofs
            )
        except (JoseError, *_HOSTILE) as error:
            raise Refused("invalid_dpop_proof") from error
        if not all(name in proof.claims for name in PROOF_CLAIMS):
            raise Refused("invalid_dpop_proof")
        return proof.header["jwk"], proof.claims

    def token(self, value: str) -> dict[str, Any]:
        try:
            token = joserfc_jwt.decode(value, self._keys, algorithms=ALGORITHMS)
            self._token_claims.validate(token.claims)
        except (JoseError, *_HOSTILE) as error:
            raise Refused("invalid_token") from error
        return check_token(token.header, token.claims)


class _Validator(JWTBearerTokenValidator):
    def __init__(self, jwks: dict[str, Any]) -> None:
        super().__init__(ISSUER, ORIGIN)
        self._keys = KeySet.import_key_set(jwks)

    def get_jwks(self) -> KeySet:
        return self._keys


class WithAuthlib(WithJoserfc):
    """Authlib's validator of RFC 9068 tokens; it has nothing for proofs, and sends its users to joserfc."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        super().__init__(jwks)
        self._validator = _Validator(jwks)

    def token(self, value: str) -> dict[str, Any]:
        try:
            token = self._validator.authenticate_token(value)
            if token.header["alg"] not in ALGORITHMS:
                raise Refused("invalid_token")
            self._validator.validate_token(token, [], None)
        except (OAuth2Error, JoseError, *_HOSTILE) as error:
            raise Refused("invalid_token") from error
        return check_token(token.header, dict(token))
