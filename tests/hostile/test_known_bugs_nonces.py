"""Bugs that other implementations had or have, one test each: nonces, and settings that switch something off unseen.

Above each test: who had it. "read" means that it stands in their code as read, without an issue that names it.

Not here: that the answers about nonces are an oracle, which nobody reported; see `test_oracles.py`.
"""

import asyncio

import pytest

from dpop_asgi import Authenticator, DPoPMiddleware, MemoryStore, Reason
from dpop_asgi.settings import Settings
from tests.support.api import PUBLIC_URL, App
from tests.support.challenges import checked_challenges


def error(answer):
    (challenge,) = checked_challenges(answer.headers)
    return challenge.parameters.get("error")


# Quarkus #54854 and older: a stale nonce was `invalid_dpop_proof`, after which no client tries again.
@pytest.mark.parametrize("minutes", [2, 5, 60, 100_000])
async def test_a_stale_nonce_is_answered_with_use_dpop_nonce(api, clock, minutes):
    nonce = await api.authenticator.challenge_nonce()
    clock.advance(60.0 * minutes)
    answer = await api.ask(nonce=nonce)
    assert (answer.status, error(answer)) == (401, "use_dpop_nonce")
    assert await api.passes(nonce=answer.one("dpop-nonce"), token=api.issuer.access_token(api.client))


# streamplace/oatproxy #7: compared with a header field; WSO2 accelerator #958: the result of the check was not used.
async def test_the_nonce_in_the_proof_counts_and_not_one_in_a_header(api):
    good = await api.authenticator.challenge_nonce()
    also = [("dpop-nonce", good)]
    assert await api.reason(nonce="invented", also=also) is Reason.NONCE_UNKNOWN
    assert await api.reason(nonce=None, also=also) is Reason.NONCE_MISSING


# AuthPlane: the text of the error held the nonce that was expected.
async def test_the_nonce_is_reported_in_its_header_alone(api):
    answer = await api.ask(nonce="invented")
    offered = answer.one("dpop-nonce")
    rest = [value for name, value in answer.headers if name != b"dpop-nonce"]
    assert offered not in f"{rest} {answer.body}"
    assert "invented" not in str(answer)


# AuthPlane: verified by two layers, the second of which saw a replay of the first.
async def test_a_request_that_passes_two_layers_is_no_replay_of_itself(api):
    app = App()
    api.wrap(DPoPMiddleware(app, authenticator=api.authenticator, public_url=PUBLIC_URL), public_url=PUBLIC_URL)
    assert (await api.ask()).status == 200
    assert len(app.scopes) == 1


# atproto (read): with nonces off, one that a client sends is answered with `use_dpop_nonce` and no nonce, for ever.
# net.ltgt.oauth and node-oidc-provider refuse it.
@pytest.mark.parametrize("nonce", ["", "of-another-server", "n" * 500])
async def test_while_nonces_are_off_one_that_is_sent_is_ignored(make_api, nonce):
    assert await make_api(nonces=None).passes(nonce=nonce)


# hono-dpop (read): the last nonce before an idle spell is accepted after it, however long it was.
@pytest.mark.parametrize("periods", [2, 3, 10, 1000])
async def test_no_nonce_outlives_an_idle_spell(api, clock, periods):
    await api.ask()
    nonce = await api.authenticator.challenge_nonce()
    clock.advance(60.0 * periods)
    assert await api.reason(nonce=nonce) in {Reason.NONCE_EXPIRED, Reason.NONCE_UNKNOWN}


# atproto (read): a check does not rotate; it leans on a call that somebody else has to make first.
async def test_the_window_rotates_without_a_nonce_being_asked_for(api, clock):
    clock.now -= clock.now % 60.0
    nonce = await api.authenticator.challenge_nonce()
    clock.advance(119.9)
    assert await api.passes(nonce=nonce)
    clock.advance(0.1)
    assert await api.reason(nonce=nonce) is Reason.NONCE_EXPIRED


# An atproto crate (read): a hash without a key over seed and time; atproto: a counter that anybody with the secret of a
# long-gone day can go on with.
async def test_nonces_of_one_time_and_name_are_different_in_every_deployment(make_api, clock):
    nonces = {await make_api(store=MemoryStore(clock=clock)).authenticator.challenge_nonce() for _ in range(50)}
    assert len(nonces) == 50


# Abblix before its fix: two that make the nonce at once each go on with their own.
async def test_two_that_make_the_nonce_at_once_go_on_with_one(make_api):
    apis = [make_api() for _ in range(20)]
    assert len(set(await asyncio.gather(*(api.authenticator.challenge_nonce() for api in apis)))) == 1


# Abblix (read): a nonce that is a number outside of what a date can be is an error of the server.
@pytest.mark.parametrize("nonce", ["0", "-1", "9" * 19, "1e308", "NaN", "99999999999999999999", "\u0661\u0662", "é"])
async def test_no_text_of_a_nonce_is_an_error(api, nonce):
    assert await api.reason(nonce=nonce) in {Reason.NONCE_UNKNOWN, Reason.NONCE_MALFORMED}


# CtrlAltDevelop, Duende (read): no nonce on accepted requests, so each client is challenged with each rotation.
async def test_a_client_that_reads_answers_is_challenged_once(api, clock):
    nonce, challenged = None, 0
    for _ in range(100):
        answer = await api.ask(nonce=nonce)
        challenged += answer.status == 401
        nonce = next(iter(answer.all("dpop-nonce")), nonce)
        clock.advance(29.0)
    assert challenged == 1


# express-oauth2-dpop (read): a nonce that belongs to one token is refused with the next.
async def test_a_nonce_outlives_the_token_that_it_was_first_sent_with(api):
    nonce = await api.authenticator.challenge_nonce()
    for _ in range(2):
        assert await api.passes(nonce=nonce, token=api.issuer.access_token(api.client))


# Quarkus #48085: `dpop` in small letters as a setting switched the enforcement off.
@pytest.mark.parametrize("mode", ["Required", "REQUIRED", "dpop", "bearer", "off", "false", "none", "", None])
def test_a_mode_in_another_spelling_does_not_switch_anything_off(make_api, mode):
    with pytest.raises(ValueError, match=r"^mode: "):
        make_api(mode=mode)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DPOP_MODE", "Required"), ("DPOP_ON_STORE_FAILURE", "Refuse"), ("DPOP_NONCE_PERIOD", "off"),
        ("DPOP_NONCE_PERIOD", "-1"), ("DPOP_ALGORITHMS", "none"), ("DPOP_ALGORITHMS", "HS256"),
        ("DPOP_STORE", "memory"), ("DPOP_PROOF_MAX_AGE", "inf"),
    ],
)  # fmt: skip
def test_no_setting_that_is_not_understood_is_passed_over(name, value):
    environment = {"DPOP_ISSUER": "https://id.example.com", "DPOP_AUDIENCE": "https://api.example.com", name: value}
    with pytest.raises(ValueError, match=f"^{name}"):
        Settings.from_environment(environment)


# APISIX #13165, WSO2, dedalus-mcp: what happens without the store is a setting whose weak value works with anything.
def test_accepting_without_the_store_is_no_default_and_needs_nonces(api):
    assert api.authenticator.on_store_failure == "refuse"
    with pytest.raises(ValueError, match=r"^on_store_failure: "):
        Authenticator(
            verify_token=api.authenticator.verify_token, store=MemoryStore(), nonces=None, on_store_failure="accept"
        )
