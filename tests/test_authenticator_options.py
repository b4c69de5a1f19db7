"""A wrong option is a ValueError that names it, when the object is made."""

import time
from functools import partial

import pytest

from dpop_asgi import Authenticator, DecisionLog, InvalidToken, MemoryStore, NoncePolicy, Reason
from dpop_asgi.testing import ManualClock


async def no_token(_):
    raise InvalidToken(Reason.TOKEN_REJECTED)


class _AsyncCall:
    async def __call__(self, _):
        """Nothing."""


class _Verifier:
    async def __call__(self, _):
        """Nothing."""

    def plain(self, _):
        """Nothing."""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"verify_token": None}, "verify_token", id="no-verifier"),
        pytest.param({"verify_token": "jwt"}, "verify_token", id="a-name-for-a-verifier"),
        pytest.param({"store": "redis://localhost"}, "store", id="a-URL-for-a-store"),
        pytest.param({"store": MemoryStore}, "store", id="a-class-for-a-store"),
        pytest.param({"remember_for": "300"}, "remember_for", id="a-text-for-seconds"),
        pytest.param({"clock": 3.5}, "clock", id="N23: clock-a-time"),
        pytest.param({"clock": time}, "clock", id="N23: clock-a-module"),
        pytest.param({"clock": ManualClock}, "clock", id="N23: clock-a-class"),
        pytest.param({"verify_token": _Verifier}, "verify_token", id="N23: verifier-a-class"),
        pytest.param({"verify_token": _Verifier().plain}, "verify_token", id="N23: verifier-not-async"),
        pytest.param({"observer": DecisionLog}, "observer", id="N23: observer-a-class"),
        pytest.param({"also_check": DecisionLog}, "also_check", id="N23: also-check-a-class"),
        pytest.param({"mode": "mixed", "allow_bearer": bool}, "allow_bearer", id="N23: allow-bearer-a-class"),
        pytest.param({"namespace": 3}, "namespace", id="N23: namespace-a-number"),
        pytest.param({"mode": "Required"}, "mode", id="mode-in-other-case"),
        pytest.param({"mode": "bearer"}, "mode", id="mode-unknown"),
        pytest.param({"mode": None}, "mode", id="mode-none"),
        pytest.param({"namespace": ""}, "namespace", id="namespace-empty"),
        pytest.param({"namespace": "caf\u00e9"}, "namespace", id="namespace-not-ascii"),
        pytest.param({"namespace": "a\nb"}, "namespace", id="namespace-with-line-feed"),
        pytest.param({"namespace": None}, "namespace", id="namespace-none"),
        *(pytest.param({"cached_keys": n}, "cached_keys", id=f"{n}-keys") for n in (-1, 1.5, "9", True)),
        pytest.param({"on_store_failure": "ignore"}, "on_store_failure", id="failure-unknown"),
        pytest.param({"on_store_failure": "accept", "nonces": None}, "on_store_failure", id="accept-without-nonces"),
        pytest.param({"observer": 3}, "observer", id="observer-not-callable"),
        pytest.param({"observer": no_token}, "observer", id="observer-async-Y07"),
        pytest.param({"observer": partial(no_token)}, "observer", id="observer-partial-async-Y07"),
        pytest.param({"observer": _AsyncCall()}, "observer", id="observer-object-async-Y07"),
    ],
)
def test_a_wrong_option_is_named_when_the_object_is_made(options, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        Authenticator(**{"verify_token": no_token, "store": MemoryStore(), **options})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("period", value) for value in (0, -1, float("inf"), float("nan"), "60", None, True)),
        *(("grace", value) for value in (-1, 1.0, "1", None, True)),
        *(("lookahead", value) for value in (0, -1, 2.5, "5", None, True)),
    ],
)
def test_a_policy_that_could_not_work_names_the_option(option, value):
    with pytest.raises(ValueError, match=rf"^{option}: "):
        NoncePolicy(**{option: value})
