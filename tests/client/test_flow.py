"""The flow without I/O: at most two tries, and a nonce per origin that is learned from every response."""

from threading import Thread

import httpx2
import pytest

from dpop_asgi.client import Nonces, header_flow
from dpop_asgi.client.flow import challenge_error
from tests.client.peers import API, TOKEN, challenge, claims_of, endpoint_error

ORIGIN = "https://api.example.com"
OK = httpx2.Response(200)
NEW = httpx2.Response(200, headers={"DPoP-Nonce": "n2"})


def _nonces_sent(key, *responses, nonces=None, url=API, access_token=TOKEN, repeatable=True):
    """The nonce of each try."""
    steps = header_flow(
        "GET",
        url,
        key=key,
        nonces=nonces or Nonces(),
        access_token=access_token,
        repeatable=repeatable,
        clock=lambda: 5,
    )
    sent = [claims_of(next(steps)["DPoP"]).get("nonce")]
    for response in responses:
        try:
            sent.append(claims_of(steps.send(response)["DPoP"]).get("nonce"))
        except StopIteration:
            break
    return sent


@pytest.mark.parametrize(
    ("responses", "sent"),
    [
        pytest.param([OK], [None], id="accepted"),
        pytest.param([challenge("n1"), OK], [None, "n1"], id="challenged once"),
        pytest.param([challenge("n1"), challenge("n2"), OK], [None, "n1"], id="always challenged: asked twice"),
        pytest.param([challenge(None), OK], [None], id="a challenge without a nonce"),
        pytest.param([challenge("a b"), OK], [None], id="a malformed nonce"),
        pytest.param([challenge("n1", status=403), OK], [None], id="another status"),
        pytest.param([challenge("n1", 'DPoP error="invalid_token"'), OK], [None], id="another error"),
        pytest.param([endpoint_error("use_dpop_nonce", nonce="n1"), OK], [None], id="what a token endpoint says"),
    ],
)
def test_a_request_to_an_api_is_tried_twice_at_most(key, responses, sent):
    assert _nonces_sent(key, *responses) == sent


@pytest.mark.parametrize(
    ("responses", "sent"),
    [
        pytest.param([OK], [None], id="accepted"),
        pytest.param([endpoint_error("use_dpop_nonce", nonce="n1"), OK], [None, "n1"], id="challenged once"),
        pytest.param([endpoint_error("use_dpop_nonce", nonce="n1", status=401), OK], [None, "n1"], id="by 401"),
        pytest.param([endpoint_error("use_dpop_nonce", nonce=f"n{i}") for i in range(3)], [None, "n0"], id="always"),
        pytest.param([endpoint_error("use_dpop_nonce"), OK], [None], id="without a nonce"),
        pytest.param([endpoint_error("invalid_client", nonce="n1"), OK], [None], id="another error"),
        pytest.param([endpoint_error("use_dpop_nonce", nonce="n1", status=500), OK], [None], id="another status"),
        pytest.param([httpx2.Response(400, headers={"DPoP-Nonce": "n1"}, content=b"[]"), OK], [None], id="no object"),
        pytest.param(
            [endpoint_error("use_dpop_nonce", nonce="n1", more="x" * 20000), OK], [None], id="a body of 20 KB"
        ),
        pytest.param([challenge("n1"), OK], [None], id="what an API says"),
    ],
)
def test_a_request_to_a_token_endpoint_is_tried_twice_at_most(key, responses, sent):
    assert _nonces_sent(key, *responses, access_token=None) == sent


def test_headers_are_a_new_proof_and_the_token_under_the_dpop_scheme(key):
    steps = header_flow("GET", API, key=key, nonces=Nonces(), access_token=TOKEN, clock=lambda: 5.9)
    first, second = next(steps), steps.send(challenge("n1"))
    assert first.keys() == second.keys() == {"Authorization", "DPoP"}
    assert first["Authorization"] == f"DPoP {TOKEN}"
    assert claims_of(first["DPoP"])["jti"] != claims_of(second["DPoP"])["jti"]
    assert claims_of(first["DPoP"])["iat"] == 5
    assert next(header_flow("POST", API, key=key, nonces=Nonces())).keys() == {"DPoP"}, "for a token endpoint"


# Nonces


@pytest.mark.parametrize("status", [200, 204, 307, 400, 401, 403, 404, 500, 503])
def test_a_nonce_is_learned_from_every_response(key, status):
    nonces = Nonces()
    _nonces_sent(key, httpx2.Response(status, headers={"DPoP-Nonce": "n1"}), nonces=nonces)
    assert _nonces_sent(key, OK, nonces=nonces) == ["n1"]


def test_each_origin_has_a_nonce_of_its_own(key):
    nonces = Nonces()
    _nonces_sent(key, NEW, nonces=nonces, url=f"{ORIGIN}/a?x")
    assert _nonces_sent(key, OK, nonces=nonces, url="HTTPS://API.example.com:443/b") == ["n2"]
    for other in ("http://api.example.com/", "https://api.example.com:8443/", "https://id.example.com/"):
        assert _nonces_sent(key, OK, nonces=nonces, url=other) == [None]


NONCES = {
    "shortest": ("n", True),
    "every NQCHAR": ("".join(chr(i) for i in range(0x21, 0x7F) if chr(i) not in '"\\'), True),
    "longest": ("n" * 1024, True),
    "too long": ("n" * 1025, False),
    "huge": ("n" * 100_000, False),
    "empty": ("", False),
    "quotation mark": ('a"b', False),
    "backslash": ("a\\b", False),
    "space": ("a b", False),
    "two headers": ("n1, n2", False),
    "line break": ("n1\n", False),
    "not ASCII": ("né", False),
    "none": (None, False),
}


@pytest.mark.parametrize(("nonce", "kept"), [pytest.param(*row, id=name) for name, row in NONCES.items()])
def test_a_malformed_nonce_is_not_kept_and_the_last_one_stays(nonce, kept):
    nonces = Nonces()
    nonces.learn(ORIGIN, "before")
    assert nonces.learn(ORIGIN, nonce) == (nonce if kept else None)
    assert nonces.last(ORIGIN) == (nonce if kept else "before")


def test_nonces_of_256_origins_are_kept_and_not_shown():
    nonces = Nonces()
    for number in range(1000):
        nonces.learn(f"https://{number}.example.com", f"hunter{number}")
    assert sum(nonces.last(f"https://{number}.example.com") is not None for number in range(1000)) == 256
    assert nonces.last("https://999.example.com") == "hunter999"
    assert "hunter" not in repr(nonces)


def test_threads_may_learn_at_the_same_time():
    nonces = Nonces()

    def learn(name):
        for number in range(300):
            nonces.learn(f"https://{name}-{number}.example.com", "n")

    threads = [Thread(target=learn, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(nonces._last) == 256


# Challenges

LINES = {
    "alone": ('DPoP error="use_dpop_nonce"', "use_dpop_nonce"),
    "any case, spaces, more": ('dpop  algs="ES256" , ERROR = use_dpop_nonce,realm="x"', "use_dpop_nonce"),
    "behind Bearer": ('Bearer realm="a, b", error="x", DPoP error="use_dpop_nonce"', "use_dpop_nonce"),
    "before Bearer": ('DPoP error="use_dpop_nonce", Bearer error="invalid_token"', "use_dpop_nonce"),
    "without an error": ('DPoP algs="ES256"', ""),
    "bare": ("DPoP", ""),
    "two of them": ('DPoP algs="ES256", DPoP error="use_dpop_nonce"', "use_dpop_nonce"),
    "behind a token68": ('Negotiate abc==, DPoP error="use_dpop_nonce"', "use_dpop_nonce"),
    "of Bearer only": ('Bearer error="use_dpop_nonce"', None),
    "in a quoted string": (r'Bearer realm="DPoP error=\"use_dpop_nonce\"", error="x"', None),
    "another scheme": ('XDPoP error="use_dpop_nonce"', None),
    "empty": ("", None),
    "unterminated": ('DPoP error="use_dpop_nonce', "use_dpop_nonce"),
}


@pytest.mark.parametrize(("line", "error"), [pytest.param(*row, id=name) for name, row in LINES.items()])
def test_the_error_is_that_of_the_dpop_challenge(line, error):
    assert challenge_error(challenge(line=line)) == error


def test_there_is_no_challenge_without_a_401_that_has_one():
    assert challenge_error(challenge(status=400)) is None
    assert challenge_error(httpx2.Response(401)) is None


def test_only_the_first_8_kilobytes_of_a_challenge_are_read():
    line = f'Bearer realm="{"x" * 8192}", DPoP error="use_dpop_nonce"'
    assert challenge_error(challenge(line=line)) is None
