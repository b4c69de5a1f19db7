"""Every way in which a request can be wrong, in the order in which the decision asks. Each breaks one thing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from dpop_asgi import (
    IncomingRequest,
    InvalidProof,
    InvalidRequest,
    InvalidToken,
    MissingCredentials,
    Reason,
    Refusal,
    UseNonce,
)
from dpop_asgi.core.private_key import PrivateKey
from tests.support.decisions import Resource, incoming
from tests.support.keys import octets, unpadded
from tests.support.proofs import NOW, TOKEN, URI

OTHER_KEY = PrivateKey.generate()
JTI = "the-one-jti-of-this-draft"


class Draft:
    """A correct request in parts, so that faults can be added to it."""

    def __init__(self) -> None:
        self.authorization = [f"DPoP {TOKEN}"]
        self.header: dict[str, Any] = {}
        self.jwk: dict[str, Any] = {}
        self.claims: dict[str, Any] = {"jti": JTI}
        self.without: set[str] = set()
        self.signed_by: PrivateKey | None = None
        self.fields: Callable[[str], list[str]] = lambda proof: [proof]
        self.request: dict[str, Any] = {}
        self.token: dict[str, Any] = {}
        self.revoked = False
        self.spent = False

    async def of(self, resource: Resource) -> IncomingRequest:
        """The request, after the resource was brought into the situation that the faults need."""
        nonce = await resource.authenticator.challenge_nonce()
        if self.spent:
            await resource.accept(resource.headers(nonce=nonce, claims={"jti": JTI}))
        resource.tokens[TOKEN] = replace(resource.tokens[TOKEN], **self.token)
        if self.revoked:
            resource.tokens.clear()
        return incoming(self._lines(resource, nonce), **self.request)

    def _lines(self, resource: Resource, nonce: str | None) -> list[tuple[str, str]]:
        proof = resource.client.proof(
            "GET",
            URI,
            TOKEN,
            nonce=nonce,
            header={"jwk": {**resource.client.key.public_jwk, **self.jwk}, **self.header},
            claims=self.claims,
            without=self.without,
            signed_by=self.signed_by,
        )
        authorizations = [("Authorization", value) for value in self.authorization]
        return authorizations + [("DPoP", value) for value in self.fields(proof)]


class Fault(NamedTuple):
    """One broken thing: why it is rejected, what it touches, how it is done, and with which class it is rejected.

    Two faults that touch the same cannot be had in one request.
    """

    name: str
    reason: Reason
    touches: str
    add: Callable[[Draft], None]
    kind: type[Refusal] = InvalidProof


def _sets(attribute: str, value: Any) -> Callable[[Draft], None]:
    return lambda draft: setattr(draft, attribute, value)


def _puts(attribute: str, **members: Any) -> Callable[[Draft], None]:
    return lambda draft: getattr(draft, attribute).update(members)


def _drops(name: str) -> Callable[[Draft], None]:
    return lambda draft: draft.without.add(name)


def _authorization(name: str, reason: Reason, kind: type[Refusal], *fields: str) -> Fault:
    """The whole of the fields is at fault."""
    return Fault(name, reason, "authorization", _sets("authorization", list(fields)), kind)


R = Reason
FAULTS = (
    _authorization("no-authorization", R.AUTHORIZATION_MISSING, MissingCredentials),
    _authorization("two-authorizations", R.AUTHORIZATION_REPEATED, InvalidRequest, f"DPoP {TOKEN}", f"Bearer {TOKEN}"),
    _authorization("huge-authorization", R.AUTHORIZATION_TOO_LARGE, InvalidRequest, "DPoP " + "a" * 20_000),
    _authorization("basic", R.AUTHORIZATION_SCHEME, MissingCredentials, "Basic eDp5"),
    _authorization("two-tokens", R.AUTHORIZATION_MALFORMED, InvalidRequest, "DPoP a b"),
    Fault("no-proof", R.PROOF_MISSING, "field", _sets("fields", lambda _: [])),
    Fault("two-proofs", R.PROOF_REPEATED, "field", _sets("fields", lambda proof: [proof, proof])),
    Fault("huge-proof", R.PROOF_TOO_LARGE, "size", _puts("claims", padding="x" * 8000)),
    Fault("joined-proofs", R.PROOF_REPEATED, "field", _sets("fields", lambda proof: [proof + ",x"])),
    Fault("four-parts", R.PROOF_MALFORMED, "field", _sets("fields", lambda proof: [proof + ".x"])),
    Fault("typ", R.PROOF_TYPE, "typ", _puts("header", typ="jwt")),
    Fault("alg", R.PROOF_ALGORITHM, "alg", _puts("header", alg="none")),
    Fault("crit", R.PROOF_CRITICAL, "crit", _puts("header", crit=[])),
    Fault("no-key", R.KEY_MISSING, "jwk", _drops("jwk")),
    Fault("private-key", R.KEY_PRIVATE, "jwk.d", _puts("jwk", d="x")),
    Fault("other-curve", R.KEY_UNFIT, "jwk.crv", _puts("jwk", crv="P-384")),
    Fault("leading-zero", R.KEY_INVALID, "jwk.y", _puts("jwk", y=unpadded(b"\0" + octets(OTHER_KEY.public_jwk["y"])))),
    Fault("no-htm", R.CLAIM_MISSING, "htm", _drops("htm")),
    Fault("nbf-null", R.CLAIM_MALFORMED, "nbf", _puts("claims", nbf=None)),
    Fault("no-uri", R.TARGET_MALFORMED, "target", _puts("request", target_uri="*"), InvalidRequest),
    Fault("method", R.METHOD_MISMATCH, "method", _puts("request", method="PUT")),
    Fault("htu", R.TARGET_MISMATCH, "htu", _puts("claims", htu="https://elsewhere.example/")),
    Fault("old", R.ISSUED_TOO_EARLY, "iat", _puts("claims", iat=NOW - 301)),
    Fault("from-the-future", R.ISSUED_IN_FUTURE, "iat", _puts("claims", iat=NOW + 61)),
    Fault("expired", R.PROOF_EXPIRED, "exp", _puts("claims", exp=NOW - 61)),
    Fault("not-yet", R.PROOF_NOT_YET_VALID, "nbf", _puts("claims", nbf=NOW + 61)),
    Fault("ath", R.TOKEN_HASH_MISMATCH, "ath", _puts("claims", ath="x")),
    Fault("no-nonce", R.NONCE_MISSING, "nonce", _drops("nonce"), UseNonce),
    Fault("blank-nonce", R.NONCE_MALFORMED, "nonce", _puts("claims", nonce="a b"), UseNonce),
    Fault("invented-nonce", R.NONCE_UNKNOWN, "nonce", _puts("claims", nonce="invented"), UseNonce),
    Fault("off-the-curve", R.KEY_INVALID, "jwk.y", _puts("jwk", y=OTHER_KEY.public_jwk["x"])),
    Fault("signature", R.SIGNATURE_INVALID, "signature", _sets("signed_by", OTHER_KEY)),
    Fault("revoked", R.TOKEN_REJECTED, "token", _sets("revoked", True), InvalidToken),
    # Z14: whatever the verifier says.
    Fault("expired-token", R.TOKEN_EXPIRED, "token", _puts("token", expires_at=NOW - 5.0), InvalidToken),
    Fault(
        "other-binding",
        R.BINDING_MISMATCH,
        "binding",
        _puts("token", key_thumbprint=OTHER_KEY.thumbprint),
        InvalidToken,
    ),
    Fault("replayed", R.PROOF_REPLAYED, "spent", _sets("spent", True)),
)


def combinable(one: Fault, other: Fault) -> bool:
    """Whether a request can have both: neither touches what the other does, nor a part of it."""
    first, second = sorted((one.touches, other.touches))
    return first != second and not second.startswith(f"{first}.")
