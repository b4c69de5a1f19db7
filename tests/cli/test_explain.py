"""`dpop-asgi explain` names the cause of a rejection, and nothing else."""

import json
import random
from itertools import combinations

import pytest

from dpop_asgi import NoncePolicy, Reason, Refusal
from dpop_asgi.cli.explain.case import Case, Rules
from dpop_asgi.cli.explain.causes.advice import CAUSES, advice
from dpop_asgi.cli.explain.examine import examine
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.cli.explain.message import Message, Response
from dpop_asgi.cli.explain.table import ON_THE_SERVER, TOPICS
from dpop_asgi.core.encoding import b64url_encode
from tests.cli.situations import NONCE, SITUATIONS, Situation
from tests.support.decisions import Resource
from tests.support.faults import FAULTS, Draft, combinable

TABLE = [pytest.param(*row, id=name) for name, row in SITUATIONS.items()]


@pytest.mark.parametrize(("breaks", "reasons", "cause"), TABLE)
def test_the_cause_is_named_and_nothing_else_and_no_secret(
    situation, explained, tmp_path, monkeypatch, breaks, reasons, cause
):
    monkeypatch.setenv("COLUMNS", "80")
    situation.claims = {"jti": "the-jti-that-nobody-may-see"}
    breaks(situation)
    code, printed = explained(situation.options(tmp_path))
    report = json.loads(printed)
    assert (code, report["accepted"], report["failed"]) == (1, False, reasons)
    failed = [check for check in report["checks"] if check["outcome"] == "fail"]
    assert cause in failed[0]["cause"]
    assert all(check["cause"] and check["fix"] and check["section"] for check in failed)

    code, text = explained(situation.options(tmp_path, as_json=False))
    assert code == 1
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert f"Rejected: {', '.join(reasons)}." in " ".join(text.split())
    assert _secrets(situation, printed + text) == []


def test_in_mixed_mode_a_token_under_bearer_needs_no_proof(situation, explained, tmp_path, monkeypatch):
    monkeypatch.setenv("DPOP_MODE", "mixed")
    situation.authorization, situation.edit = "Bearer {token}", lambda _: ""
    assert json.loads(explained(situation.options(tmp_path))[1])["failed"] == ["bound_token_as_bearer"]


def test_another_nonce_than_the_last_one_may_be_accepted_too(situation, explained, tmp_path):
    """Those of the slots before, unless the response says otherwise."""
    situation.nonce = "the-one-before"
    report = json.loads(explained(situation.options(tmp_path))[1])
    assert report["failed"] == []
    outcomes = {check["reason"]: check["outcome"] for check in report["checks"]}
    assert (outcomes["nonce_malformed"], outcomes["nonce_unknown"]) == ("pass", "unknown")
    text = explained(situation.options(tmp_path, as_json=False))[1]
    assert "may be accepted too: pass the server's --store" in " ".join(text.split())


def test_the_settings_of_the_server_are_used(situation, explained, issuer, tmp_path, monkeypatch):
    """Spaces around them do not count."""
    monkeypatch.setenv("DPOP_ISSUER", f" {issuer.url}\n")
    monkeypatch.setenv("DPOP_AUDIENCE", f" {issuer.audience} ")
    monkeypatch.setenv("DPOP_TOKEN_TYPES", "at+jwt,JWT")
    monkeypatch.setenv("DPOP_PROOF_MAX_AGE", "30")
    monkeypatch.setenv("DPOP_ALGORITHMS", "PS256")
    monkeypatch.setenv("DPOP_NONCE_PERIOD", "0")
    situation.token_changes = {"header": {"typ": "JWT"}}
    situation.claims, situation.nonce = {"iat": int(situation.clock.now) - 31}, None
    failed = json.loads(explained(situation.options(tmp_path))[1])["failed"]
    assert failed == ["proof_algorithm", "issued_too_early"]


@pytest.mark.parametrize("header", [{"alg": "HS256"}, {"alg": "none"}, {"alg": "HS256", "typ": "JWT"}], ids=str)
@pytest.mark.parametrize("changes", [{}, {"jwks": None}], ids=["with-keys", "without-keys"])
def test_no_keys_are_needed_to_see_that_no_server_accepts_an_algorithm(situation, explained, tmp_path, header, changes):
    situation.token_changes = {"header": header, "claims": {"aud": "https://x.example"}}
    report = json.loads(explained(situation.options(tmp_path, **changes))[1])
    typ = ["token_type"] if "typ" in header else []
    assert report["failed"] == [*typ, "token_algorithm", "token_audience"]
    outcomes = {check["reason"]: check["outcome"] for check in report["checks"]}
    assert (outcomes["token_signature"], outcomes["token_expired"]) == ("unknown", "pass")


JWE = b64url_encode(b'{"alg":"ECDH-ES","enc":"A256GCM"}') + "..AAAA.AAAA.AAAA"


@pytest.mark.parametrize(
    ("token", "failed"),
    [
        pytest.param(JWE, ["token_malformed"], id="encrypted"),
        pytest.param("v1.local.abcdef", ["token_malformed"], id="two-dots"),
        pytest.param("opaque", [], id="one-word"),
    ],
)
def test_a_token_that_is_not_signed_is_opaque_if_the_server_introspects(
    situation, explained, tmp_path, monkeypatch, token, failed
):
    situation.token = token
    assert json.loads(explained(situation.options(tmp_path))[1])["failed"] == failed
    monkeypatch.setenv("DPOP_INTROSPECTION_CLIENT_ID", "api")
    report = json.loads(explained(situation.options(tmp_path))[1])
    assert report["failed"] == []
    [check] = [check for check in report["checks"] if check["reason"] == "token_malformed"]
    assert (check["outcome"], check["facts"]["kind"]) == ("unknown", "opaque: only its issuer can read it")


def _secrets(situation, printed):
    """What may not be shown, of what was. Claims that the table sets to short words are no secrets."""
    printed = "".join(printed.split())
    private = [value for name, value in situation.client.key.private_jwk.items() if name not in {"kty", "crv", "e"}]
    signed = [part for whole in (situation.token, situation.proof) for part in whole.split(".") if len(part) > 20]
    words = [situation.nonce or NONCE, "the-jti-that-nobody-may-see", "hunter2", *private, *signed]
    return [word for word in words if word in printed]


NO_TEXT = [None, True, 0, -1, 1e300, 10**18, [], {}]
TEXT = ["", "x" * 300, "\x1b[31m", "é", "\ud800", "https://[::1]:99999/", "a\nb"]
PLACES = [
    *(("claims", name) for name in ("jti", "htm", "htu", "iat", "ath", "nonce", "exp", "nbf")),
    *(("header", name) for name in ("typ", "alg", "jwk", "crit")),
    *(("jwk", name) for name in ("kty", "crv", "x", "y", "d")),
    *(("token claims", name) for name in ("iss", "aud", "exp", "nbf", "cnf", "sub")),
    *(("token header", name) for name in ("typ", "alg", "kid")),
]


@pytest.mark.parametrize("with_jwks", [True, False])
def test_whatever_is_in_a_proof_or_a_token_is_explained(
    client, issuer, clock, explained, tmp_path, seed, with_jwks, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    for part, name in PLACES:
        value = random.Random(f"{seed} {part} {name} {with_jwks}").choice(NO_TEXT + TEXT)
        case = Situation(client, issuer, clock)
        if part in {"claims", "header"}:
            setattr(case, part, {name: value})
        elif part == "jwk":
            case.header = {"jwk": {**client.key.public_jwk, name: value}}
        else:
            case.token_changes = {part.removeprefix("token "): {name: value}}
        changes = {} if with_jwks else {"jwks": None}
        code, printed = explained(case.options(tmp_path, as_json=False, **changes))
        assert code in {0, 1}
        assert printed.replace("\n", "").isprintable(), (part, name, value)


def test_whatever_is_around_a_proof_is_explained(situation, explained, tmp_path):
    """The server that somebody asks about may be an attacker's."""
    pasted = f"""> G\x1bT /r\x1b[31m HTTP/1.1
> Host: [\x1b[31m]:1
> DPoP: {situation.proof}
< HTTP/1.1 401 \x1b[31m
< WWW-Authenticate: DPoP error="use_dpop_nonce\x1b[31m", error_description="\u202e"
< DPoP-Nonce: \x1b[31m
< Date: \x1b[31m
"""
    for as_json in (False, True):
        code, printed = explained(situation.options(tmp_path, proof=pasted, url=None, as_json=as_json))
        assert code in {0, 1}
        assert printed.replace("\n", "").isprintable()


def test_a_correct_request_fails_nothing(situation, explained, tmp_path):
    code, printed = explained(situation.options(tmp_path))
    report = json.loads(printed)
    assert [check["reason"] for check in report["checks"] if check["outcome"] != "pass"] == [
        "key_revoked",
        "proof_replayed",
    ]
    assert (code, report["accepted"], report["failed"]) == (0, None, [])
    text = explained(situation.options(tmp_path, as_json=False))[1]
    assert "Nothing fails.\nNot known: revocation, replay." in text


def test_every_check_of_the_middleware_is_listed_once_and_has_a_cause():
    listed = [reason for topic in (*TOPICS, ON_THE_SERVER) for reason in topic.reasons]
    assert sorted(listed) == sorted(Reason)
    assert {reason for topic in TOPICS for reason in topic.reasons} <= CAUSES.keys()
    case = Case(message=Message(source="a test"), rules=Rules(), now=0.0, read_at=0.0)
    for reason in ON_THE_SERVER.reasons:
        assert all(advice(case, Check(reason=reason, outcome="fail", section="")))


# In the words of the middleware


async def _both(clock, client, faults):
    """Why the middleware rejects a request with these faults, and what `explain` finds in the same request."""
    resource, draft = Resource(clock, client, nonces=NoncePolicy()), Draft()
    for fault in faults:
        fault.add(draft)
    request = await draft.of(resource)
    values = {
        name: tuple(value.decode("latin-1") for known, value in request.headers if known == name)
        for name in (b"authorization", b"dpop")
    }
    server_nonce = await resource.authenticator.challenge_nonce()
    with pytest.raises(Refusal) as rejected:
        await resource.authenticator.authenticate(request)
    message = Message(
        source="a test",
        method=request.method,
        url=request.target_uri,
        authorizations=values[b"authorization"],
        proofs=values[b"dpop"],
        response=Response(status=401, error=rejected.value.code),
    )
    case = Case(message=message, rules=Rules(), now=clock.now, read_at=clock.now, server_nonce=server_nonce)
    checks = await examine(case)
    return rejected.value.reason, [check.reason for check in checks if check.outcome == "fail"]


# Of the others only the server knows, or the token, which is opaque here.
VISIBLE = [fault for fault in FAULTS if fault.touches not in {"token", "binding", "spent"}]


async def test_the_first_failure_is_what_the_middleware_says(clock, client):
    # Whether a point is on its curve is checked late, and listed with the other checks of the key.
    early = [fault for fault in VISIBLE if fault.name != "off-the-curve"]
    pairs = [pair for pair in combinations(early, 2) if combinable(*pair)]
    assert len(pairs) > 300
    for faults in [*([fault] for fault in VISIBLE), *pairs]:
        reason, failed = await _both(clock, client, faults)
        told = failed if len(faults) == 1 else failed[:1]
        assert told == [reason], [fault.name for fault in faults]
