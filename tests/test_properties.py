"""What must hold for every policy, every time and every URI."""

import asyncio
import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dpop_asgi import NoncePolicy, ProofPolicy, Refusal, UseNonce
from dpop_asgi.core.encoding import b64url_decode, b64url_encode
from dpop_asgi.core.htu import normalise, normalise_path
from dpop_asgi.core.strict_json import strict_json_object
from dpop_asgi.nonces import NonceWindow
from dpop_asgi.testing import Client, ManualClock
from tests.support.decisions import Resource, accepted_nonce

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


@given(nonce_policies, instants, parts)
def test_a_nonce_lives_within_the_bounds_of_the_formula(policy, start, part):
    asyncio.run(_bounded(policy, start, part))


async def _bounded(policy, start, part):
    window = NonceWindow(ForgetfulStore(), policy, namespace="dpop", clock=lambda: start)
    await window.ensure(start)
    nonce = window.to_issue(start)
    least, most = (policy.grace + 0.2) * policy.period, (policy.grace + 1.2) * policy.period
    for later, good in ((part * least * 0.999, True), (most * 1.001, False)):
        assert await _accepts(window, nonce, start + later) is good


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


@given(st.text(st.sampled_from("htpsHTPSws:/.?#[]@%2eEfF~a-_;&=+ \u00e9\u017f\\"), max_size=40), st.booleans())
def test_the_normal_form_is_its_own_normal_form(rest, websocket):
    for uri in (rest, "https://" + rest, "https://a.example/" + rest, "http://[::1]:80" + rest):
        normal = normalise(uri, websocket=websocket)
        if normal is not None:
            assert normalise(normal) == normalise(normal, websocket=websocket) == normal
            assert normal.startswith(("https://", "http://"))
            assert not set(normal) & set("?#\\ ")


@given(st.binary(max_size=100))
def test_base64url_comes_back(raw):
    assert b64url_decode(b64url_encode(raw).encode()) == raw


@given(st.text(st.sampled_from('{}[]",:0123456789.eE+-aNItrufls\\ \n'), max_size=60))
def test_strict_json_is_json(text):
    try:
        value = strict_json_object(text.encode())
    except ValueError:
        return
    assert value == json.loads(text)
