"""The memory of spent proofs: one call to the store for each, and what that call promises."""

import pytest

from dpop_asgi import MemoryStore, StoreError
from dpop_asgi.core.encoding import b64url_decode
from dpop_asgi.replay import UsedProofs
from tests.support.decisions import CountingStore
from tests.support.proofs import URI

OTHER_URI = "https://api.example.com/other"


@pytest.fixture
def store(clock):
    return CountingStore(clock)


@pytest.fixture
def spent(store):
    return UsedProofs(store, namespace="dpop")


async def spend(spent, **changes):
    usual = {"key_thumbprint": "key", "target_uri": URI, "jti": "jti", "seconds_left": 300.0}
    return await spent.claim(**{**usual, **changes})


async def test_each_first_use_is_one_call(spent, store):
    assert await spend(spent)
    assert not await spend(spent)
    assert await spend(spent, jti="another")
    assert await spend(spent, target_uri=OTHER_URI)
    assert await spend(spent, key_thumbprint="other-key")
    assert len(store.calls) == 5


async def test_the_value_tells_our_own_write_from_anothers(spent, store):
    await spend(spent)
    await spend(spent)
    first, second = (call.value for call in store.calls)
    assert first != second
    assert len(b64url_decode(first.encode())) >= 6


async def test_a_write_that_is_sent_again_after_a_lost_reply_stays_a_first_use(clock):
    class Resending(MemoryStore):
        """Sends each command twice, as a client library does when a connection breaks before the reply."""

        async def put_if_absent(self, key, value, *, ttl):
            await super().put_if_absent(key, value, ttl=ttl)
            return await super().put_if_absent(key, value, ttl=ttl)

    spent = UsedProofs(Resending(clock=clock), namespace="dpop")
    assert await spend(spent)
    assert not await spend(spent)


async def test_the_entry_is_gone_when_nobody_needs_it(spent, clock):
    assert await spend(spent, seconds_left=10.0)
    clock.advance(19.999)
    assert not await spend(spent, seconds_left=10.0)
    clock.advance(0.001)
    assert await spend(spent, seconds_left=10.0)


async def test_an_entry_lives_for_ten_seconds_even_when_nothing_is_left(spent, store):
    await spend(spent, seconds_left=-5.0)
    assert store.calls[0].ttl == 10.0


async def test_a_store_that_fails_is_not_a_first_use(spent, store):
    store.down = True
    with pytest.raises(StoreError):
        await spend(spent)
