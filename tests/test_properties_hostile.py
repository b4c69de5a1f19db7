"""Whatever is sent: a refusal, and never another exception."""

import asyncio
import json

from hypothesis import assume, given
from hypothesis import strategies as st

from dpop_asgi import ProofPolicy, Refusal
from dpop_asgi.core import jwk
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.testing import Client, ManualClock, jwt
from tests.support.decisions import Resource
from tests.support.proofs import NOW, TOKEN, URI

CLOCK = ManualClock(NOW)
CLIENT = Client(clock=CLOCK)
POLICY = ProofPolicy(algorithms=tuple(jwk.KEY_TYPES))

any_text = st.text(st.characters(exclude_categories=()), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | any_text
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4), max_leaves=12
)


def refused(headers, **changes):
    """Whether the request is refused. Any other exception is the test's failure."""
    resource = Resource(CLOCK, CLIENT, proof_policy=POLICY)
    request = IncomingRequest(**{"method": "GET", "target_uri": URI, "headers": headers, **changes})
    try:
        asyncio.run(resource.authenticator.authenticate(request))
    except Refusal:
        return True
    return False


def refused_proof(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return refused([(b"authorization", b"DPoP " + TOKEN.encode()), (b"dpop", raw)])


def test_what_the_following_break_would_pass():
    assert not refused_proof(CLIENT.proof("GET", URI, TOKEN))


def _changed(place, name, value):
    """A proof with one header parameter, member of its key or claim changed."""
    if place == "jwk":
        return CLIENT.proof("GET", URI, TOKEN, header={"jwk": {**CLIENT.key.public_jwk, name: value}})
    return CLIENT.proof("GET", URI, TOKEN, **{place: {name: value}})


MEMBERS = [
    *(("header", name) for name in ("typ", "alg", "jwk")),
    *(("jwk", name) for name in ("kty", "crv", "x", "y", "d", "k", "oth")),
    *(("claims", name) for name in ("htm", "htu", "ath")),
]


@given(st.sampled_from(MEMBERS), json_values)
def test_a_member_of_any_type(member, value):
    assert refused_proof(_changed(*member, value))


@given(st.sampled_from(["kty", "crv", "x", "y", "n", "e"]), json_values, st.sampled_from(sorted(jwk.KEY_TYPES)))
def test_a_key_of_any_shape_under_any_algorithm(name, value, algorithm):
    kty, crv = jwk.KEY_TYPES[algorithm]
    key = {"kty": kty, "crv": crv, "x": "AQAB", "y": "AQAB", "n": "AQAB", "e": "AQAB", name: value}
    assert refused_proof(CLIENT.proof("GET", URI, TOKEN, header={"alg": algorithm, "jwk": key}))


@given(st.sampled_from(["jti", "nonce", "iat", "exp", "nbf"]), json_values)
def test_a_claim_that_may_be_chosen_freely_has_its_type(name, value):
    if refused_proof(CLIENT.proof("GET", URI, TOKEN, claims={name: value})):
        return
    assert type(value) in ({str} if name in {"jti", "nonce"} else {int, float})
    assert value == value  # noqa: PLR0124 - not NaN


@given(st.dictionaries(any_text, json_values, max_size=5), st.dictionaries(any_text, json_values, max_size=5))
def test_additions_of_any_kind_change_no_check(header, claims):
    proof = CLIENT.proof("GET", URI, TOKEN, claims={"htm": "PUT", **claims}, header=header)
    assert refused_proof(proof)


parts = st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode())


@given(parts, parts)
def test_any_bytes_or_json_as_header_and_payload(header, payload):
    assert refused_proof(jwt(header, payload, CLIENT.key))
    assert refused_proof(jwt({"typ": "dpop+jwt", "alg": "ES256", "jwk": CLIENT.key.public_jwk}, payload, CLIENT.key))


@given(st.binary(max_size=400))
def test_any_bytes_as_a_proof(value):
    assert refused_proof(value)


@given(st.data())
def test_a_good_proof_with_some_bytes_changed(data):
    good = CLIENT.proof("GET", URI, TOKEN).encode()
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        how = data.draw(st.sampled_from(["replace", "insert", "delete", "cut"]))
        if how == "cut":
            raw = raw[: place + 1]
        elif how == "delete" and len(raw) > 1:
            del raw[place]
        else:
            raw[place : place + (how == "replace")] = data.draw(st.binary(min_size=1, max_size=3))
    assume(bytes(raw) != good)
    assert refused_proof(bytes(raw))


GOOD_TOKEN = b"DPoP " + TOKEN.encode()
GOOD_PROOF = CLIENT.proof("GET", URI, TOKEN).encode()
fields = st.tuples(
    st.sampled_from([b"authorization", b"dpop", b"host", b"proxy-authorization", b"dpop-nonce", b""]),
    st.sampled_from([GOOD_TOKEN, GOOD_PROOF, b"", b"Bearer x", b"Basic x", GOOD_PROOF + b"," + GOOD_PROOF])
    | st.binary(max_size=30),
)


@given(st.lists(fields, max_size=6))
def test_a_list_of_fields_passes_only_with_one_good_token_and_one_good_proof(headers):
    tokens = [value for name, value in headers if name == b"authorization"]
    proofs = [value for name, value in headers if name == b"dpop"]
    assert refused(headers) is not (tokens == [GOOD_TOKEN] and proofs == [GOOD_PROOF])


@given(st.sampled_from([b"DPoP ", b"dpop", b"Bearer ", b"", b"DPoP  "]), st.binary(max_size=60))
def test_any_bytes_as_credentials(prefix, value):
    assume(prefix + value.strip(b" ") != GOOD_TOKEN)
    assert refused([(b"authorization", prefix + value), (b"dpop", GOOD_PROOF)])


@given(any_text, any_text, st.booleans())
def test_any_method_and_any_target(method, target, websocket):
    for uri in (target, "https://api.example.com/" + target, "https://" + target):
        proof = CLIENT.proof(method, uri, TOKEN).encode()
        headers = [(b"authorization", GOOD_TOKEN), (b"dpop", proof)]
        refused(headers, method=method, target_uri=uri, websocket=websocket)
        assert refused(headers, method=method + "x", target_uri=uri, websocket=websocket)
        assert refused(headers, method=method, target_uri="https://elsewhere.test/", websocket=websocket)
