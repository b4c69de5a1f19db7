"""A caller is made without its `__init__`: nothing may be forgotten."""

from dataclasses import fields

from dpop_asgi import AccessToken, Caller


def test_every_field_is_set():
    token = AccessToken(subject="alice", scopes=frozenset({"a"}), key_thumbprint="t", expires_at=1.0)
    caller = Caller.of(token)
    assert list(vars(caller)) == [field.name for field in fields(Caller)]
    assert caller == Caller(
        subject="alice", client_id=None, scopes=frozenset({"a"}), key_thumbprint="t", token_expires_at=1.0
    )
