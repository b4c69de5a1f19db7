"""Every bound between the decision and its store: calls that wait, batches, keys, values, and what is read back."""

import asyncio

import pytest

from dpop_asgi import NoncePolicy, StoreError
from dpop_asgi.core.nonce_window import MAX_NONCE_LENGTH
from dpop_asgi.stores.redis import pipeline
from dpop_asgi.stores.redis.pipeline import Pipeline
from tests.support.decisions import Resource

COMMAND = ("SET", "key", "value", "NX", "GET", "PX", 1000)


class Server:
    """Takes pipelines, and answers them when it is told to."""

    def __init__(self, *, answers=True):
        self.pipelines = []
        self.answers = asyncio.Event()
        if answers:
            self.answers.set()

    async def exchange(self, commands):
        self.pipelines.append(len(commands))
        await self.answers.wait()
        return [None] * len(commands)


@pytest.mark.parametrize(
    ("calls", "pipelines"),
    [(pipeline._MAX_BATCH, [256]), (pipeline._MAX_BATCH + 1, [256, 1]), (600, [256, 256, 88])],
    ids=["at", "over", "twice-over"],
)
async def test_max_batch(calls, pipelines):
    server = Server()
    ours = Pipeline("the store", server.exchange, where="here", timeout=10.0)
    await asyncio.gather(*(ours.call(COMMAND) for _ in range(calls)))
    assert server.pipelines == pipelines
    await ours.aclose()


@pytest.mark.parametrize("over", [0, 1, 50])
async def test_max_waiting(over):
    server = Server(answers=False)
    ours = Pipeline("the store", server.exchange, where="here", timeout=10.0)
    calls = [asyncio.create_task(ours.call(COMMAND)) for _ in range(pipeline._MAX_WAITING + over)]
    await asyncio.sleep(0)
    refused = [call for call in calls if call.done()]
    assert ["are waiting already" in str(call.exception()) for call in refused] == [True] * over
    assert {type(call.exception()) for call in refused} <= {StoreError}, "Z02: whoever fills our queue opens no door"
    server.answers.set()
    await asyncio.wait(calls)
    assert len([call for call in calls if call.exception() is None]) == pipeline._MAX_WAITING
    await ours.aclose()


@pytest.mark.parametrize("size", [1, 100])
async def test_keys_and_values_stay_within_what_a_store_is_promised(clock, client, store, size):
    policy = NoncePolicy(period=12.3456789)
    resource = Resource(clock, client, store=store, nonces=policy, namespace="n" * size)
    nonce = await resource.authenticator.challenge_nonce()
    await resource.accept(resource.headers(nonce=nonce, claims={"jti": "j" * 5000}))
    assert len(store.proofs) == 1
    assert all(len(call.key) <= 200 and call.key.isascii() for call in store.calls)
    assert all(len(call.value) <= 64 and call.value.isascii() for call in store.calls)


@pytest.mark.parametrize("namespace", ["", "n" * 101, "é", "a\nb"], ids=["none", "over", "not-ascii", "line-feed"])
def test_a_namespace_that_would_break_the_promise_is_rejected(clock, client, namespace):
    with pytest.raises(ValueError, match=r"^namespace: "):
        Resource(clock, client, namespace=namespace)


@pytest.mark.parametrize("over", [False, True])
async def test_max_nonce_length_of_what_the_store_holds(api, store, clock, over):
    slot = int(clock.now // 60)
    for number in range(slot - 1, slot + 6):
        foreign = str(number).ljust(MAX_NONCE_LENGTH + over, "n")
        await store.put_if_absent(f"dpop:nonce:v1:60:{number}", foreign, ttl=600.0)
    if not over:
        assert len(await api.authenticator.challenge_nonce()) == MAX_NONCE_LENGTH
        return
    with pytest.raises(StoreError, match="isn't a nonce"):
        await api.authenticator.challenge_nonce()


async def test_a_thousand_requests_to_a_cold_process_ask_for_one_window(api, store):
    answers = await asyncio.gather(*(api.anonymous() for _ in range(1000)))
    policy = NoncePolicy()
    assert {answer.status for answer in answers} == {401}
    assert len([call for call in store.calls if ":nonce:" in call.key]) == policy.grace + 1 + policy.lookahead
