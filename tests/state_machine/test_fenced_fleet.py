"""A fleet whose store forgets: whatever happens in whatever order, no proof is accepted twice."""

import asyncio
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dpop_asgi import NoncePolicy, Reason, Refusal, StoreError
from dpop_asgi.testing import Client, ManualClock
from tests.state_machine import strategies as draw
from tests.state_machine.machine import examine
from tests.support.decisions import Resource
from tests.support.fenced_store import FencedStore, LateView

pytestmark = pytest.mark.timeout(900)

PERIOD = 60.0
CLIENTS = [Client() for _ in range(2)]
# What may be answered: to a client that follows the nonces, and by a store that cannot say.
ANSWERS = {"accepted", "unavailable", *Reason}


class ForgetfulFleet(RuleBasedStateMachine):
    """Three workers, each with a connection of its own to the same servers, and what happens to those."""

    seen: Counter[str]

    @initialize(tags=st.sampled_from([("",), ("aa", "bb")]))
    def start(self, tags):
        self.runner = asyncio.Runner()
        self.clock = ManualClock(1_700_000_040.0)
        self.store = FencedStore(self.clock, tags=tags)
        self.fleet = [self.worker() for _ in range(3)]
        self.newest = {}
        self.passed = []
        self.accepted = Counter()

    def teardown(self):
        if hasattr(self, "runner"):
            self.runner.close()

    def worker(self):
        # One verifier knows the tokens of both clients.
        resource = Resource(self.clock, CLIENTS[0], store=LateView(self.store), nonces=NoncePolicy())
        resource.tokens |= {str(number): self.token(client) for number, client in enumerate(CLIENTS)}
        return resource

    @staticmethod
    def token(client):
        return Resource(ManualClock(), client).tokens.popitem()[1]

    def send(self, worker, headers):
        return self.runner.run(self._send(self.fleet[worker], headers))

    async def _send(self, resource, headers):
        try:
            await resource.accept(headers)
        except Refusal as refusal:
            answer, challenge = refusal.reason, await self._challenge(resource, refusal)
        except StoreError:
            answer, challenge = "unavailable", None
        else:
            answer, challenge = "accepted", None
        self.seen[answer] += 1
        assert answer in ANSWERS
        return answer, challenge

    @staticmethod
    async def _challenge(resource, refusal):
        try:
            return await resource.authenticator.challenge_nonce(refusal)
        except StoreError:
            return None

    def note(self, headers):
        self.accepted[headers["DPoP"]] += 1
        self.passed.append(headers)
        assert self.accepted[headers["DPoP"]] == 1, "accepted twice"

    @rule(client=st.sampled_from(range(len(CLIENTS))), worker=draw.workers)
    def ask(self, client, worker):
        """With the newest nonce; after a challenge with the nonce that came with it, three times at most."""
        for _ in range(4):
            headers = CLIENTS[client].headers(
                "GET", "https://api.example.com/orders", str(client), nonce=self.newest.get(client), claims=self.now()
            )
            answer, challenge = self.send(worker, headers)
            if answer == "accepted":
                self.note(headers)
            if challenge is None:
                return
            self.newest[client] = challenge
        raise AssertionError("challenged again and again")

    def now(self):
        return {"iat": int(self.clock())}

    @precondition(lambda self: self.passed)
    @rule(number=draw.numbers, worker=draw.workers)
    def replay(self, number, worker):
        headers = self.passed[-1 - number % len(self.passed)]
        if self.send(worker, headers)[0] == "accepted":
            self.note(headers)

    @rule(incarnation=st.sampled_from(["one", "two", "three"]), every=st.booleans())
    def become_another(self, incarnation, every):
        """Or come back: a server that was frozen has its data still."""
        tags = self.store.tags if every else self.store.tags[:1]
        self.store.become(incarnation, *tags)

    @rule(away=st.booleans())
    def go_away_or_return(self, away):
        self.store.away = set(self.store.tags[:1]) if away else set()

    @rule(worker=draw.workers)
    def connect_anew(self, worker):
        """To whatever server is there now."""
        self.fleet[worker].store.reconnect()

    @rule(worker=draw.workers)
    def restart_a_worker(self, worker):
        self.fleet[worker] = self.worker()

    @rule(seconds=st.sampled_from([0.5, 20.0, 61.0, 200.0]))
    def let_time_pass(self, seconds):
        self.clock.advance(seconds)


@pytest.mark.explores
def test_no_proof_is_accepted_twice_whatever_the_store_forgets():
    examine(ForgetfulFleet, examples=60)


def test_what_matters_most_happens():
    ForgetfulFleet.seen = Counter()
    fleet = ForgetfulFleet()
    fleet.start(tags=("aa", "bb"))
    fleet.ask(client=0, worker=0)
    fleet.replay(number=0, worker=2)
    fleet.become_another(incarnation="two", every=True)
    fleet.replay(number=0, worker=1)
    fleet.connect_anew(worker=0)
    fleet.replay(number=0, worker=0)
    fleet.ask(client=0, worker=0)
    fleet.ask(client=0, worker=1)
    fleet.go_away_or_return(away=True)
    for _ in range(2):
        fleet.ask(client=1, worker=0)
    fleet.teardown()
    assert fleet.seen.keys() >= {"accepted", Reason.NONCE_MISSING, Reason.NONCE_SUPERSEDED, Reason.PROOF_REPLAYED}
