"""Which of the issuer's keys may have signed a token."""

import logging

import pytest

from dpop_asgi import InvalidToken, JWTVerifier, Reason
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Issuer
from tests.support.keys import octets, rsa_key, unpadded


@pytest.fixture
def verify_with(issuer, clock):
    """A verifier with these keys, or with the issuer's one key changed."""

    def verify_with(*keys, **changes):
        published = list(keys) or [{**issuer.jwks["keys"][0], **changes}]
        return JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks={"keys": published}, clock=clock)

    return verify_with


@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "RS256", "Ed25519", "EdDSA", "ES384"])
async def test_every_algorithm_of_the_default_list_verifies_and_one_that_was_added(client, clock, algorithm):
    issuer = Issuer("https://id.example.com", audience="a", algorithm=algorithm, clock=clock)
    added = {"algorithms": ("ES384",)} if algorithm == "ES384" else {}
    verify = JWTVerifier(issuer=issuer.url, audience="a", jwks=issuer.jwks, clock=clock, **added)
    assert (await verify(issuer.access_token(client))).key_thumbprint == client.thumbprint


@pytest.mark.requirement("R-9068-02")
async def test_of_several_keys_the_one_with_the_kid_is_used(issuer, client, verify_with):
    others = [{**PrivateKey.generate().public_jwk, "kid": f"other-{number}"} for number in range(20)]
    assert await verify_with(*others, *issuer.jwks["keys"])(issuer.access_token(client))


@pytest.mark.requirement("R-9068-02")
async def test_a_token_without_kid_is_tried_with_the_keys_that_fit_among_others(issuer, client, verify_with):
    others = [PrivateKey.generate(algorithm).public_jwk for algorithm in ("PS256", "ES384", "ES256", "ES256", "ES256")]
    others += [{"kty": "EC"}, {"kty": "oct", "k": "c2VjcmV0"}, {}, "key", None, {"kty": ["EC"]}]
    verify = verify_with(*others, *issuer.jwks["keys"])
    assert await verify(issuer.access_token(client, without={"kid"}))


async def test_a_token_without_kid_costs_no_more_than_eight_signature_checks(issuer, client, verify_with):
    """Y01: the log has both numbers."""
    others = [PrivateKey.generate().public_jwk for _ in range(8)]
    verify = verify_with(*others, *issuer.jwks["keys"])
    with pytest.raises(InvalidToken) as refused:
        await verify(issuer.access_token(client, without={"kid"}))
    assert (refused.value.reason, refused.value.facts) == (Reason.TOKEN_SIGNATURE, {"keys": 9, "tried": 8})


async def test_a_key_without_kid_fits_any_kid(issuer, client, verify_with):
    [key] = issuer.jwks["keys"]
    key.pop("kid")
    assert await verify_with(key)(issuer.access_token(client))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"use": "sig"}, id="use-sig"),
        pytest.param({"alg": "ES256"}, id="alg"),
        pytest.param({"key_ops": ["sign", "verify"], "ext": True, "x5t": "x"}, id="many-members"),
    ],
)
async def test_a_key_for_signatures_is_used(issuer, client, verify_with, changes):
    assert await verify_with(**changes)(issuer.access_token(client))


@pytest.mark.parametrize("changes", [{"use": "enc"}, {"kid": "other"}], ids=["for-encryption", "another-kid"])
async def test_a_key_for_something_else_is_not_used(issuer, client, verify_with, reason_of, caplog, changes):
    assert await reason_of(verify_with(**changes), issuer.access_token(client)) == Reason.TOKEN_KEY_UNKNOWN
    assert caplog.messages == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"x": "AAAA"}, id="short-coordinate"),
        pytest.param({"y": "A" * 43}, id="off-the-curve"),
        pytest.param({"x": None}, id="null"),
        pytest.param({"key_ops": ["sign"]}, id="Y01, key-ops"),
        pytest.param({"key_ops": "verify"}, id="key-ops-is-a-string"),
        pytest.param({"alg": "ES384"}, id="Y01, alg"),
        pytest.param({"alg": ["ES256"]}, id="Y01, alg-list"),
        pytest.param({"use": ""}, id="Y01, use"),
        pytest.param({"use": None}, id="use-null"),
        pytest.param({"kty": "RSA"}, id="another-type"),
        pytest.param({"kty": "AKP"}, id="Y01, kty"),
        pytest.param({"crv": "P-384"}, id="another-curve"),
    ],
)
async def test_an_unsound_key_is_left_out_and_said_so_once(issuer, client, verify_with, reason_of, caplog, changes):
    with caplog.at_level(logging.WARNING, "dpop_asgi"):
        verify = verify_with(**changes)
        for _ in range(3):
            assert await reason_of(verify, issuer.access_token(client)) == Reason.TOKEN_KEY_UNKNOWN
    [message] = caplog.messages
    assert message.startswith(f"the key with kid '{issuer.kid}' in the issuer's key set is ignored: it")


@pytest.mark.parametrize("named", ["Ed25519", "EdDSA"])
@pytest.mark.parametrize("algorithm", ["Ed25519", "EdDSA"])
async def test_two_names_of_one_algorithm_are_one(client, clock, algorithm, named):
    """Y01"""
    issuer = Issuer("https://id.example.com", audience="a", algorithm=algorithm, clock=clock)
    jwks = {"keys": [{**issuer.jwks["keys"][0], "alg": named}]}
    assert await JWTVerifier(issuer=issuer.url, audience="a", jwks=jwks, clock=clock)(issuer.access_token(client))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda number: unpadded(b"\0" + octets(number)), id="a zero byte"),
        pytest.param(lambda number: number + "=" * (-len(number) % 4), id="padding"),
    ],
)
@pytest.mark.parametrize("member", ["n", "e"])
async def test_rsa_numbers_may_have_a_zero_byte_or_padding(client, clock, member, changed):
    """X06: in keys of proofs they may not."""
    issuer = Issuer("https://id.example.com", audience="a", algorithm="PS256", clock=clock)
    issuer.keys[issuer.kid] = rsa_key(2048)
    [key] = issuer.jwks["keys"]
    verify = JWTVerifier(
        issuer=issuer.url, audience="a", jwks={"keys": [{**key, member: changed(key[member])}]}, clock=clock
    )
    assert await verify(issuer.access_token(client))


async def test_private_members_in_a_key_set_are_left_aside(issuer, client, verify_with):
    key = issuer.keys[issuer.kid]
    assert await verify_with({**key.private_jwk, "kid": issuer.kid})(issuer.access_token(client))
