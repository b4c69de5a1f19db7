"""N04: no secret stands in what Python itself prints: signatures, help, documentation, the repr of an object."""

import os
import subprocess
import sys
from functools import partial

import pytest
import redis.asyncio

from dpop_asgi import (
    AccessToken,
    Authenticator,
    DPoPMiddleware,
    IntrospectionVerifier,
    JWTVerifier,
    MemoryStore,
    RedisStore,
    TrustedIssuer,
)
from dpop_asgi.client import ClientCredentials, DPoPAuth, Key
from dpop_asgi.core.credentials import IncomingRequest, read_credentials
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.settings import Settings
from dpop_asgi.testing import Client, Issuer
from dpop_asgi.tokens.signed_token import SignedToken
from tests.support.decisions import incoming
from tests.support.processes import ROOT

# What `help` says of every module, private ones too, and the signature of whatever is in them; not of programs.
EVERYTHING = """
import importlib, inspect, pkgutil, pydoc
import dpop_asgi

names = [module.name for module in pkgutil.walk_packages(dpop_asgi.__path__, "dpop_asgi.")]
for name in ["dpop_asgi", *(name for name in names if not name.endswith(("__main__", ".resource_server")))]:
    module = importlib.import_module(name)
    print(pydoc.plain(pydoc.render_doc(module)))
    for holder in [module, *filter(inspect.isclass, vars(module).values())]:
        for member in vars(holder).values():
            member = getattr(member, "__func__", member)
            if callable(member) and (getattr(member, "__module__", None) or "").startswith("dpop_asgi"):
                try:
                    print(inspect.signature(member))
                except (TypeError, ValueError):
                    pass
"""


def test_no_value_of_the_environment_stands_in_documentation_and_signatures():
    environment = {**os.environ, "DATABASE_PASSWORD": "hunter2-of-the-environment"}
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    assert "from_environment" in done.stdout
    assert "hunter2" not in done.stdout
    assert "DATABASE_PASSWORD" not in done.stdout


REDIS = "redis://user:hunter2@localhost:6379/0"


def _authenticator(issuer, **options):
    verifier = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks)
    return Authenticator(verify_token=verifier, store=RedisStore(REDIS), **options)


def _of_the_environment(issuer):
    variables = {"DPOP_ISSUER": issuer.url, "DPOP_AUDIENCE": issuer.audience, "DPOP_STORE": REDIS}
    return Settings.from_environment(variables)


async def _filled_store(issuer):
    store = MemoryStore()
    await store.put_if_absent("dpop:nonce:v1:60:1", "hunter2", ttl=60.0)
    return store


async def _used_verifier(issuer):
    verifier = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks)
    await verifier(issuer.access_token())
    return verifier


def _introspection(issuer):
    return IntrospectionVerifier(issuer=issuer.url, audience="a", client_id="api", client_secret="hunter2")


def _key(issuer):
    key = issuer.keys[issuer.kid]
    return Key(key.public_jwk, key.sign)


HOLDERS = {
    "RedisStore": lambda _: RedisStore(REDIS),
    "RedisStore of a client": lambda _: RedisStore(redis.asyncio.Redis(password="hunter2")),
    "RedisStore of Sentinels": lambda _: RedisStore("redis+sentinel://user:hunter2@localhost:26379/service/0"),
    "RedisStore of a cluster": lambda _: RedisStore("redis+cluster://user:hunter2@localhost:6379"),
    "MemoryStore": _filled_store,
    "JWTVerifier": _used_verifier,
    "TrustedIssuer": lambda issuer: TrustedIssuer(issuer=issuer.url, audience="a", jwks=issuer.jwks),
    "IntrospectionVerifier": _introspection,
    "what is in an IntrospectionVerifier": lambda issuer: vars(_introspection(issuer)),
    "Authenticator": _authenticator,
    "DPoPMiddleware": lambda issuer: DPoPMiddleware(None, authenticator=_authenticator(issuer)),
    "Settings": _of_the_environment,
    "PrivateKey": lambda issuer: issuer.keys[issuer.kid],
    "Client": lambda issuer: Client(key=issuer.keys[issuer.kid]),
    "Key": _key,
    "ClientCredentials": lambda _: ClientCredentials("https://id.example/token", "client", "hunter2"),
    "DPoPAuth": lambda issuer: DPoPAuth(issuer.access_token(), key=_key(issuer)),
    "DPoPAuth of credentials": lambda issuer: DPoPAuth(
        ClientCredentials("https://id.example/token", "client", "hunter2"), key=_key(issuer)
    ),
    "Issuer": lambda issuer: issuer,
    "IncomingRequest of a scope": lambda issuer: IncomingRequest("GET", partial(str, issuer.access_token()), []),
    "IncomingRequest": lambda issuer: incoming({"Authorization": f"DPoP {issuer.access_token()}", "DPoP": "hunter2"}),
    "Credentials": lambda issuer: read_credentials(
        incoming({"Authorization": f"DPoP {issuer.access_token()}", "DPoP": "hunter2"}).headers
    ),
    "AccessToken": lambda _: AccessToken(subject="alice", claims={"email": "hunter2"}),
    "SignedToken": lambda issuer: SignedToken.parse(issuer.access_token()),
}


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in HOLDERS.items()])
async def test_an_object_does_not_show_the_secrets_that_it_holds(make, monkeypatch):
    issuer = Issuer("https://id.example", audience="https://api.example")
    members = issuer.keys[issuer.kid]._key.as_dict(private=True)
    made = []
    access_token = issuer.access_token
    monkeypatch.setattr(issuer, "access_token", lambda: made.append(access_token()) or made[-1])
    holder = make(issuer)
    if hasattr(holder, "__await__"):
        holder = await holder
    secrets = ["hunter2", members["d"], members["x"], *(part for token in made for part in token.split("."))]
    secrets += map(sha256_b64url, made)
    for printed in (repr(holder), str(holder), repr([holder])):
        assert [secret for secret in secrets if secret in printed] == []
