"""The same fleet, each worker with a store of its own on one real Redis, which goes away and comes back."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.state_machine.flaky_store import HEALTHY
from tests.state_machine.machine import begin, examine
from tests.state_machine.proxied_redis import ProxiedRedis
from tests.state_machine.rules import Fleet
from tests.state_machine.test_fleet import WHILE_REFUSING, what_matters_most
from tests.support.fault_proxy import ProxyThread

pytestmark = pytest.mark.timeout(900)


class RedisFleet(Fleet):
    """Whoever derives from it says which server."""

    def worker_store(self):
        return self.store.connect()

    @rule()
    def break_the_store(self):
        self.store.go_away()

    @rule()
    def repair_the_store(self):
        self.store.repair()
        self.runner.run(self.store.answers_everybody())

    @precondition(lambda self: self.store.fault is HEALTHY)
    @rule(to=st.sampled_from([b":jti:", b":nonce:"]))
    def lose_a_reply(self, to):
        """The store asks again, and does not take its own value for a replay."""
        self.store.lose_the_next_reply_to(to)


@pytest.fixture
def fleet(redis_server):
    with ProxyThread(redis_server.port) as proxy:

        class Fleet(RedisFleet):
            def make_store(self):
                return ProxiedRedis(redis_server, proxy)

        yield Fleet


@pytest.mark.explores
def test_every_answer_of_a_fleet_on_redis_is_right(fleet):
    examine(fleet, examples=15, steps=40)


def test_what_matters_most_happens_on_redis_and_is_judged(fleet):
    """X14: this was left to the random examples."""
    assert what_matters_most(*begin(fleet)) == WHILE_REFUSING


def test_redis_forgets_nothing_because_the_machine_is_slow(fleet, redis_server):
    """X14: a proof in its last second was forgotten when an example took more than ten."""
    machine, token = begin(fleet, nonces=None)
    machine.ask_with_a_clock_that_is_off(token=token, worker=0, early=-299)
    machine.teardown()
    with redis_server.client() as connection:
        assert min(connection.pttl(key) for key in connection.keys("dpop:*")) > 60_000
