"""A wrong option is a ValueError that names it, when the object is made."""

from functools import partial

import pytest

from dpop_asgi import Authenticator, InvalidToken, MemoryStore, NoncePolicy, Reason


async def no_token(_):
    raise InvalidToken(Reason.TOKEN_REJECTED)


class _AsyncCall:
    async def __call__(self, _):
        """Nothing."""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"verify_token": None}, "verify_token", id="no-verifier"),
        pytest.param({"verify_token": "jwt"}, "verify_token", id="a-name-for-a-verifier"),
        pytest.param({"store": None}, "store", id="no-store"),
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
