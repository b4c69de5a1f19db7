"""What must hold for every policy, every time and every URI."""

import asyncio
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dpop_asgi import NoncePolicy, ProofPolicy, Refusal, UseNonce
from dpop_asgi.core import jwk
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.core.htu import normalise_path
from dpop_asgi.nonces import NonceWindow
from dpop_asgi.testing import Client, ManualClock
from tests.support.decisions import Resource, accepted_nonce
from tests.support.proofs import NOW, TOKEN, URI

CLIENT = Client()

policies = st.builds(
    ProofPolicy,
    max_age=st.floats(0.5, 5000, allow_subnormal=False),
    max_future=st.floats(0, 500, allow_subnormal=False),
)
nonce_policies = st.builds(
    NoncePolicy,
    period=st.one_of(st.integers(1, 4000), st.floats(0.25, 4000)),
    grace=st.integers(0, 4),
    lookahead=st.integers(1, 6),
)
instants = st.floats(1_000_000_000, 4_000_000_000)
parts = st.floats(0, 1)


class ForgetfulStore:
    """The worst that may happen to a proof: nonces live for ever, and what was spent is forgotten at once."""

    def __init__(self):
        self.nonces = {}
        self.ttls = []

    async def put_if_absent(self, key, value, *, ttl):
        if ":nonce:" in key:
            return self.nonces.setdefault(int(key.rpartition(":")[2]), value)
        self.ttls.append(ttl)
        return value


async def passes(clock, store, headers, policy, nonces):
    """Whether a process that was started this moment accepts the request."""
    try:
        await Resource(clock, CLIENT, store=store, proof_policy=policy, nonces=nonces).accept(headers)
    except Refusal:
        return False
    return True


@given(st.data(), instants, policies, st.none() | nonce_policies)
def test_a_spent_proof_is_remembered_for_as_long_as_it_could_be_accepted(data, start, policy, nonces):
    clock, store = ManualClock(start), ForgetfulStore()
    asyncio.run(_remembered(data, clock, store, policy, nonces))


async def _remembered(data, clock, store, policy, nonces):
    claims = {"iat": clock.now + data.draw(st.floats(-policy.max_age, policy.max_future), "iat")}
    if data.draw(st.booleans(), "with exp"):
        claims["exp"] = clock.now + data.draw(st.floats(-policy.max_future, 2 * policy.max_age), "exp")
    worker = Resource(clock, CLIENT, store=store, proof_policy=policy, nonces=nonces)
    nonce = await worker.authenticator.challenge_nonce()
    if nonces is not None:
        clock.advance(data.draw(parts, "delay") * nonces.period)
    headers = worker.headers(nonce=nonce, claims=claims)
    assume(await passes(clock, store, headers, policy, nonces))
    spent_at, ttl = clock.now, store.ttls.pop()
    behind = data.draw(st.floats(0, 9.9), "clock of another host")
    for part in (*data.draw(st.lists(st.floats(0, 2), max_size=4), "later"), 0.999, 1.0, 1.001):
        clock.now = spent_at + part * ttl - behind
        assert part < 1 or not await passes(clock, store, headers, policy, nonces)
    # And no longer than any policy could accept it: memory is paid for by the second.
    assert ttl == pytest.approx(claims["iat"] + max(policy.max_age, 300.0) - spent_at + 10.0, abs=1e-3)


@given(nonce_policies, instants, st.lists(st.floats(-20, 20), min_size=1, max_size=8), parts)
def test_the_window_accepts_exactly_the_slots_that_it_promises(policy, start, jumps, ahead):
    asyncio.run(_promised(policy, start, jumps, ahead))


async def _promised(policy, start, jumps, ahead):
    store, clock = ForgetfulStore(), ManualClock(start)
    one, two = (NonceWindow(store, policy, namespace="dpop", clock=clock) for _ in range(2))
    for jump in jumps:
        clock.now += jump * policy.period
        await two.ensure(clock.now + ahead * policy.period)
        await one.ensure(clock.now)
        slot = math.floor(clock.now / policy.period)
        accepted = {number for number, nonce in store.nonces.items() if await _accepts(one, nonce, clock.now)}
        assert accepted == set(range(slot - policy.grace, slot + 2))
        late = clock.now / policy.period - slot >= 0.8
        assert one.to_issue(clock.now) == store.nonces[slot + late]


async def _accepts(window, nonce, now):
    try:
        await accepted_nonce(window, nonce, now)
    except UseNonce:
        return False
    return True


# Paths: every atom has one meaning and some spellings; nothing but spelling may be folded.
ATOMS = {
    **{character: [character, f"%{ord(character):02X}", f"%{ord(character):02x}"] for character in "aAz09-._~"},
    **{character: [character] for character in "!$&'()*+,;=:@"},
    **{f"%{ord(character):02X}": [f"%{ord(character):02X}", f"%{ord(character):02x}"] for character in "/?#%:+ \\\x00"},
    **{
        f"%{ord(character):02X}": [character, f"%{ord(character):02X}", f"%{ord(character):02x}"]
        for character in "[]|^"
    },
    "%C3": ["%C3", "%c3", "%C3"],
    "/": ["/"],
}
meanings = st.lists(st.one_of(st.sampled_from([".", ".", "/", "/", "a"]), st.sampled_from(sorted(ATOMS))), max_size=12)


def without_dot_segments(path):
    """RFC 3986 §5.2.4, letter by letter."""
    rest, output = path, ""
    while rest:
        if rest.startswith("/./") or rest == "/.":
            rest = "/" + rest[3:]
        elif rest.startswith("/../") or rest == "/..":
            rest, output = "/" + rest[4:], output[: output.rfind("/")] if "/" in output else ""
        else:
            end = rest.find("/", 1)
            segment, rest = (rest, "") if end < 0 else (rest[:end], rest[end:])
            output += segment
    return output


@given(st.data(), meanings, meanings)
def test_two_paths_are_the_same_exactly_when_they_differ_in_spelling_only(data, first, second):
    if data.draw(st.booleans(), "same"):
        second = first
    one, two = (
        "/" + "".join(data.draw(st.sampled_from(ATOMS[atom]), "spelling") for atom in atoms)
        for atoms in (first, second)
    )
    meant_one, meant_two = (without_dot_segments("/" + "".join(atoms)) for atoms in (first, second))
    assert (normalise_path(one) == normalise_path(two)) is (meant_one == meant_two)
    assert normalise_path(one) == meant_one


# Whatever is sent: a rejection, and never another exception. `tests/differential` and `tests/fuzz` change much more.
any_text = st.text(st.characters(exclude_categories=()), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | any_text
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4), max_leaves=12
)
HOSTILE = Client(clock=ManualClock(NOW), key=CLIENT.key)


def is_rejected(proof, **changes):
    clock, policy = ManualClock(NOW), ProofPolicy(algorithms=tuple(jwk.KEY_TYPES))
    headers = [(b"authorization", b"DPoP " + TOKEN.encode()), (b"dpop", proof.encode())]
    request = IncomingRequest(**{"method": "GET", "target_uri": URI, "headers": headers, **changes})
    try:
        asyncio.run(Resource(clock, HOSTILE, proof_policy=policy).authenticator.authenticate(request))
    except Refusal:
        return True
    return False


def test_what_the_following_break_would_pass():
    assert not is_rejected(HOSTILE.proof("GET", URI, TOKEN))


MEMBERS = [
    *(("header", name) for name in ("typ", "alg", "jwk")),
    *(("jwk", name) for name in ("kty", "crv", "x", "y", "d", "k", "oth")),
    *(("claims", name) for name in ("htm", "htu", "ath")),
]


@given(st.sampled_from(MEMBERS), json_values)
def test_a_member_of_any_type(member, value):
    place, name = member
    key = {"jwk": {**CLIENT.key.public_jwk, name: value}}
    changes = {"header": key} if place == "jwk" else {place: {name: value}}
    assert is_rejected(HOSTILE.proof("GET", URI, TOKEN, **changes))


@given(st.sampled_from(["kty", "crv", "x", "y", "n", "e"]), json_values, st.sampled_from(sorted(jwk.KEY_TYPES)))
def test_a_key_of_any_shape_under_any_algorithm(name, value, algorithm):
    kty, crv = jwk.KEY_TYPES[algorithm]
    key = {"kty": kty, "crv": crv, "x": "AQAB", "y": "AQAB", "n": "AQAB", "e": "AQAB", name: value}
    assert is_rejected(HOSTILE.proof("GET", URI, TOKEN, header={"alg": algorithm, "jwk": key}))


@given(any_text, any_text, st.booleans())
def test_any_method_and_any_target(method, target, websocket):
    for uri in (target, "https://api.example.com/" + target, "https://" + target):
        proof = HOSTILE.proof(method, uri, TOKEN)
        is_rejected(proof, method=method, target_uri=uri, websocket=websocket)
        assert is_rejected(proof, method=method + "x", target_uri=uri, websocket=websocket)
        assert is_rejected(proof, method=method, target_uri="https://elsewhere.test/", websocket=websocket)
