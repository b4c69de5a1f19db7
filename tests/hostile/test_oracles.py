"""What an answer tells beyond its documented reason: nothing. Whole answers are compared, byte by byte.

Which comparisons have a secret in them? `ath` is the hash of the token that the sender has just shown, and a key's
thumbprint is public: they are compared in constant time all the same. A nonce is handed to anybody who asks. Signatures
are checked with public keys. What a client must not learn is about others: whether a token that it cannot use is alive,
whether a `jti` was used, which paths there are.
"""

import json

import pytest

from dpop_asgi import AccessToken, InvalidToken, NoncePolicy, Reason
from dpop_asgi.core import access_token, checks
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Issuer

OTHER_KEY = PrivateKey.generate()
JTI = {"jti": "the-one-jti"}


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


async def expired_nonce(api, clock):
    nonce = await api.authenticator.challenge_nonce()
    clock.advance(120.0)
    await api.anonymous()
    return nonce


async def test_every_nonce_fault_gets_the_same_bytes(make_api, api, clock):
    foreign = make_api(namespace="another")
    values = [await expired_nonce(api, clock), await foreign.authenticator.challenge_nonce()]
    values += [None, "", "unknown", "n" * 64, "n" * 65, "n" * 4000, "a b", "\ud800", '"', "é", "\0"]
    answers, reasons = set(), set()
    for nonce in values:
        answers.add(await api.ask(nonce=nonce))
        reasons.add(api.decisions[0].reason)
    assert len(answers) == 1
    assert reasons == {Reason.NONCE_MISSING, Reason.NONCE_MALFORMED, Reason.NONCE_UNKNOWN, Reason.NONCE_EXPIRED}


@pytest.mark.parametrize("nonce", [None, "unknown"])
async def test_without_a_good_nonce_neither_signature_nor_token_nor_use_is_reported(api, tokens, store, nonce):
    assert await api.passes(claims=JTI)
    asked = len(store.calls)
    answers = {
        await api.ask(token=token, nonce=nonce, claims=claims, signed_by=signed_by)
        for token in tokens.values()
        for claims in ({}, JTI)
        for signed_by in (None, OTHER_KEY)
    }
    assert len(answers) == 1
    assert len(store.calls) == asked


async def test_a_bad_signature_does_not_tell_whether_the_token_is_good(api, tokens):
    answers = {await api.ask(token=token, signed_by=OTHER_KEY) for token in tokens.values()}
    assert (len(answers), api.decisions[0].reason) == (1, Reason.SIGNATURE_INVALID)


async def test_a_bad_signature_does_not_tell_whether_a_jti_was_used(api, store):
    assert await api.passes(claims=JTI)
    asked = len(store.calls)
    used, unused = [await api.ask(claims=claims, signed_by=OTHER_KEY) for claims in (JTI, {"jti": "unused"})]
    assert used == unused
    assert len(store.calls) == asked


async def test_a_bad_signature_does_not_tell_whose_key_was_named(api, other_client):
    """The key that a token is bound to, named by somebody who does not have it."""
    mine, theirs = [await api.ask(client=client, signed_by=OTHER_KEY) for client in (api.client, other_client)]
    assert mine == theirs


async def test_the_key_of_another_does_not_tell_whether_a_jti_was_used(api, other_client, store):
    """A thief of a token, with a sound proof by a key of his own."""
    assert await api.passes(claims=JTI)
    asked = len(store.calls)
    used, unused = [await api.ask(client=other_client, claims=claims) for claims in (JTI, {"jti": "unused"})]
    assert (used, api.decisions[0].reason) == (unused, Reason.BINDING_MISMATCH)
    assert len(store.calls) == asked


async def test_a_token_of_another_key_tells_nothing_of_that_key_or_its_owner(api, issuer, other_client):
    answers = {
        await api.ask(token=issuer.access_token(client, claims=claims))
        for client in (other_client, type(other_client)(clock=issuer._clock))
        for claims in ({}, {"sub": "bob", "scope": "admin", "client_id": "other"})
    }
    assert (len(answers), api.decisions[0].reason) == (1, Reason.BINDING_MISMATCH)


SAME_TOKEN_FAULT = {
    Reason.TOKEN_SIGNATURE: [{"signed_by": OTHER_KEY}, {"signed_by": PrivateKey.generate()}],
    Reason.TOKEN_KEY_UNKNOWN: [{"header": {"kid": kid}} for kid in ("a", "b" * 500, "")],
    Reason.TOKEN_ISSUER: [{"claims": {"iss": iss}} for iss in ("https://a.example", "", 5)],
    Reason.TOKEN_AUDIENCE: [{"claims": {"aud": aud}} for aud in ("https://a.example", [], ["x"] * 50)],
    Reason.TOKEN_EXPIRED: [{"claims": {"exp": exp}} for exp in (1, 1_600_000_000, 1_699_999_000)],
    Reason.BINDING_MALFORMED: [{"claims": {"cnf": cnf}} for cnf in ({}, "x", {"jkt": 5})],
}


@pytest.mark.parametrize("reason", SAME_TOKEN_FAULT)
async def test_one_fault_of_a_token_gets_the_same_bytes_whatever_its_value(api, issuer, reason):
    faults = SAME_TOKEN_FAULT[reason]
    tokens = [issuer.access_token(api.client, **fault) for fault in faults]
    answers = set()
    for token in tokens:
        answers.add(await api.ask(token=token))
        assert api.decisions[0].reason is reason
    assert len(answers) == 1


async def test_two_faults_of_a_token_differ_in_nothing_but_the_description(api, tokens):
    """Everybody could check them: with public keys, and with what stands in the token itself."""
    refused = [await api.ask(token=tokens[name]) for name in sorted(tokens.keys() - {"good"})]
    assert len({_described(answer) for answer in refused}) > 4
    assert len({_undescribed(answer) for answer in refused}) == 1


def _described(answer):
    return json.loads(answer.body)["error_description"]


def _undescribed(answer):
    lines = tuple(line for line in answer.headers if line[0] != b"content-length")
    return str((answer.status, lines, answer.body)).replace(_described(answer), "")


async def test_a_verifier_of_opaque_tokens_tells_unknown_from_revoked_to_nobody(make_api, client):
    alive = {"alive"}

    async def verify(token):
        if token not in alive:
            raise InvalidToken(Reason.TOKEN_REJECTED)
        return AccessToken(key_thumbprint=client.thumbprint)

    api = make_api(verify_token=verify)
    assert await api.passes(token="alive")
    alive.clear()
    assert await api.ask(token="alive") == await api.ask(token="never-was")


async def test_where_dpop_is_required_a_bearer_token_is_not_even_looked_at(api, tokens):
    answers = {await api.ask(drop={"Authorization", "DPoP"}, also=_bearer(token)) for token in tokens.values()}
    assert (len(answers), api.decisions[0].reason) == (1, Reason.BEARER_NOT_ACCEPTED)


def _bearer(token):
    return [("authorization", f"Bearer {token}")]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
async def test_without_credentials_no_path_is_told_from_another(api, method):
    paths = ["/", "/r", "/r/", "/admin", "/%2e%2e/etc/passwd", "//", "/public/../r", "/" + "a" * 9000]
    assert len({await api.anonymous(method, path) for path in paths}) == 1


async def test_while_the_store_is_unavailable_all_good_requests_get_the_same_bytes(api, store, issuer, other_client):
    assert await api.passes(claims=JTI)
    store.down = True
    theirs = {"client": other_client, "token": issuer.access_token(other_client)}
    answers = {await api.ask(claims=JTI), await api.ask(), await api.ask(**theirs), await api.ask("POST", "/x")}
    assert [answer.status for answer in answers] == [503]


async def test_the_nonce_is_one_and_the_same_for_everybody(api, tokens, other_client):
    offered = {(await api.anonymous()).one("dpop-nonce")}
    for client in (api.client, other_client):
        offered |= {
            (await api.ask(client=client, token=token, nonce=None)).one("dpop-nonce") for token in tokens.values()
        }
    assert len(offered) == 1


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
