"""What an answer tells beyond its documented reason: nothing. Whole answers are compared, byte by byte.

Which comparisons have a secret in them? `ath` is the hash of the token that the sender has just shown, and a key's
thumbprint is public: they are compared in constant time all the same. A nonce is handed to anybody who asks. Signatures
are checked with public keys. What a client must not learn is about others: whether a token that it cannot use is alive,
whether a `jti` was used, which paths there are.
"""

import pytest

from dpop_asgi import NoncePolicy, Reason
from dpop_asgi.core import access_token, checks
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client, Issuer

OTHER_KEY = PrivateKey.generate()
USED, UNUSED = {"jti": "the-one-jti"}, {"jti": "unused"}


@pytest.fixture
def tokens(api, issuer, client, other_client):
    """Tokens of every state, by name."""
    elsewhere = Issuer("https://elsewhere.example", audience=issuer.audience, clock=issuer._clock)
    return {
        "good": api.token,
        "of another client": issuer.access_token(other_client),
        "unbound": issuer.access_token(None),
        "expired": issuer.access_token(client, claims={"exp": 1_600_000_000}),
        "forged": issuer.access_token(client, signed_by=OTHER_KEY),
        "of an unknown key": issuer.access_token(client, header={"kid": "unknown"}),
        "of another issuer": elsewhere.access_token(client),
        "no JWT": "opaque",
    }


# What two requests differ in, of which nothing may be told: with a bad signature, with the key of somebody else (a
# thief of the token, whose proof is sound), and with the token of somebody else.
ALIKE = {
    "without a good nonce, signature, token and use": (
        Reason.NONCE_UNKNOWN,
        lambda tokens, _: [
            {"nonce": "unknown", "token": token, "claims": claims, "signed_by": key}
            for token in tokens.values()
            for claims in (USED, UNUSED)
            for key in (None, OTHER_KEY)
        ],
    ),
    "with a bad signature, the token": (
        Reason.SIGNATURE_INVALID,
        lambda tokens, _: [{"signed_by": OTHER_KEY, "token": token} for token in tokens.values()],
    ),
    "with a bad signature, the use of the jti": (
        Reason.SIGNATURE_INVALID,
        lambda *_: [{"signed_by": OTHER_KEY, "claims": claims} for claims in (USED, UNUSED)],
    ),
    "with a bad signature, the key that is named": (
        Reason.SIGNATURE_INVALID,
        lambda _, thief: [{"signed_by": OTHER_KEY, "client": thief}, {"signed_by": OTHER_KEY}],
    ),
    "with another key, the use of the jti": (
        Reason.BINDING_MISMATCH,
        lambda _, thief: [{"client": thief, "claims": claims} for claims in (USED, UNUSED)],
    ),
    "with a token of another key, that key and its owner": (
        Reason.BINDING_MISMATCH,
        lambda tokens, _: [{"token": tokens[name]} for name in ("of another client", "of a third")],
    ),
}


@pytest.mark.parametrize(("reason", "requests"), [pytest.param(*row, id=name) for name, row in ALIKE.items()])
async def test_nothing_of_what_others_have_is_told(api, issuer, tokens, other_client, store, reason, requests):
    third = Client(clock=issuer._clock)
    tokens["of a third"] = issuer.access_token(third, claims={"sub": "bob", "scope": "admin", "client_id": "other"})
    assert await api.passes(claims=USED)
    asked, answers = len(store.calls), set()
    for request in requests(tokens, other_client):
        answers.add(await api.ask(**request))
        assert api.decisions[0].reason is reason
    assert len(answers) == 1
    assert len(store.calls) == asked


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
async def test_without_credentials_no_path_is_told_from_another(api, method):
    paths = ["/", "/r", "/r/", "/admin", "/%2e%2e/etc/passwd", "//", "/public/../r", "/" + "a" * 9000]
    assert len({await api.anonymous(method, path) for path in paths}) == 1


async def test_hash_and_thumbprint_are_compared_in_constant_time(make_api, monkeypatch):
    compared = []
    for module in (checks, access_token):
        digest = module.compare_digest
        monkeypatch.setattr(module, "compare_digest", lambda *two, digest=digest: compared.append(two) or digest(*two))
    api = make_api(nonces=NoncePolicy())
    assert await api.passes()
    hashes, thumbprints = compared
    assert set(hashes) == {sha256_b64url(api.token)}
    assert set(thumbprints) == {api.client.thumbprint}
