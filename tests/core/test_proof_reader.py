"""The header of a client's proofs is read once, from when the client has shown that it holds the key."""

import pytest

from dpop_asgi import InvalidProof, ProofPolicy, Reason
from dpop_asgi.core.proof import ProofReader
from dpop_asgi.testing import Client
from tests.support.proofs import TOKEN, URI


@pytest.fixture
def reader():
    return ProofReader(ProofPolicy())


def read(reader, client, **changes):
    return reader.read(client.proof("GET", URI, TOKEN, **changes).encode())


def test_only_a_header_that_was_remembered_is_spared(reader, client):
    first, second = read(reader, client), read(reader, client)
    assert first.header is not second.header
    reader.remember(first)
    assert read(reader, client).header is first.header


def test_a_remembered_header_spares_neither_signature_nor_claims(reader, client, other_client):
    reader.remember(read(reader, client))
    with pytest.raises(InvalidProof, match=str(Reason.SIGNATURE_INVALID)):
        read(reader, client, signed_by=other_client.key).verify_signature()
    with pytest.raises(InvalidProof, match=str(Reason.CLAIM_MISSING)):
        read(reader, client, without=["jti"])


def test_the_header_used_least_recently_is_forgotten_first(client, other_client):
    reader, third_client = ProofReader(ProofPolicy(), cached=2), Client()
    one, two, three = (read(reader, each) for each in (client, other_client, third_client))
    for proof in (one, two, one, three):
        reader.remember(proof)
    assert read(reader, client).header is one.header
    assert read(reader, third_client).header is three.header
    assert read(reader, other_client).header is not two.header


def test_of_one_key_only_the_last_header_is_remembered(reader, client):
    """Z09"""
    one, two = (read(reader, client, header={"kid": kid}) for kid in "12")
    reader.remember(one)
    reader.remember(two)
    assert read(reader, client, header={"kid": "1"}).header is not one.header
    assert read(reader, client, header={"kid": "2"}).header is two.header
    # Back again, as if the other had never been.
    reader.remember(one)
    assert read(reader, client, header={"kid": "1"}).header is one.header
