"""Every reason that the enum knows is one for which a request is refused."""

import pytest

from dpop_asgi import JWTVerifier, Reason
from dpop_asgi.asgi.target_uri import PublicURL, RequestURL
from dpop_asgi.core.private_key import PrivateKey
from tests.support.decisions import Resource
from tests.support.faults import FAULTS

# What a route asks for, beyond the decision.
OF_THE_ROUTE = {Reason.SCOPE_INSUFFICIENT, Reason.AUTHENTICATION_INSUFFICIENT}
# What an authorization server asks for.
OF_THE_GRANT = {Reason.DPOP_JKT_MALFORMED, Reason.DPOP_JKT_MISMATCH, Reason.GRANT_KEY_MISMATCH}

OTHER_KEY = PrivateKey.generate()

# How the access token is broken, for a verifier of signed tokens.
TOKENS = {
    Reason.TOKEN_MALFORMED: {"claims": {"exp": "soon"}},
    Reason.TOKEN_TYPE: {"header": {"typ": "JWT"}},
    Reason.TOKEN_ALGORITHM: {"header": {"alg": "none"}},
    Reason.TOKEN_ISSUER: {"claims": {"iss": "https://id.example.com/"}},
    Reason.TOKEN_KEY_UNKNOWN: {"header": {"kid": "unknown"}},
    Reason.TOKEN_SIGNATURE: {"signed_by": OTHER_KEY},
    Reason.TOKEN_AUDIENCE: {"claims": {"aud": "https://elsewhere.example"}},
    Reason.TOKEN_EXPIRED: {"claims": {"exp": 1_699_999_000}},
    Reason.TOKEN_NOT_YET_VALID: {"claims": {"nbf": 1_700_001_000}},
    Reason.BINDING_MISSING: {"without": ["cnf"]},
    Reason.BINDING_MALFORMED: {"claims": {"cnf": {}}},
    Reason.BINDING_UNSUPPORTED: {"claims": {"cnf": {"x5t#S256": "x"}}},
}

SCOPE = {"scheme": "https", "path": "/orders", "raw_path": b"/orders", "client": ("10.0.0.9", 5)}
TARGETS = {
    Reason.HOST_MALFORMED: (PublicURL(["https://a.example", "https://b.example"]), []),
    Reason.HOST_NOT_ALLOWED: (RequestURL(), [(b"host", b"evil.example")]),
    Reason.FORWARDED_MALFORMED: (
        RequestURL(trusted_proxies=["10.0.0.0/8"], allowed_hosts=["a.example"]),
        [(b"host", b"a.example"), (b"x-forwarded-proto", b"gopher")],
    ),
    Reason.TARGET_MALFORMED: (PublicURL("https://a.example"), [(b"host", b"a.example")]),
}


@pytest.mark.requirement("R-9068-05", "R-7.1-13")
@pytest.mark.parametrize("reason", TOKENS)
async def test_a_signed_token_is_rejected_for(clock, client, issuer, reason):
    verifier = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, clock=clock)
    resource = Resource(clock, client, verify_token=verifier)
    await resource.accept(resource.headers(issuer.access_token(client)))
    refusal = await resource.refusal(resource.headers(issuer.access_token(client, **TOKENS[reason])))
    assert (refusal.reason, refusal.code) == (reason, "invalid_token")


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize("reason", TARGETS)
async def test_a_target_is_rejected_for(clock, client, reason):
    resolve, fields = TARGETS[reason]
    scope = {**SCOPE, "headers": fields}
    if reason is Reason.TARGET_MALFORMED:
        scope["raw_path"] = b"*"
    resource = Resource(clock, client)
    refusal = await resource.refusal(target_uri=lambda: resolve(scope))
    assert (refusal.reason, refusal.code) == (reason, "invalid_request")


def test_every_reason_is_covered_by_a_test():
    # test_authenticator_modes.py and test_authenticator_nonces.py
    single = {Reason.BEARER_NOT_ACCEPTED, Reason.BOUND_TOKEN_AS_BEARER, Reason.NONCE_EXPIRED, Reason.NONCE_SUPERSEDED}
    single.add(Reason.TOKEN_INACTIVE)  # tokens/test_introspection.py
    single |= {Reason.NONCE_REVOKED, Reason.KEY_REVOKED}  # test_revocation.py
    covered = {fault.reason for fault in FAULTS} | TOKENS.keys() | TARGETS.keys() | single
    assert sorted(set(Reason) - covered) == sorted(OF_THE_ROUTE | OF_THE_GRANT)
