"""A fleet under examination: what is sent to it is judged by the oracle, answer by answer."""

import asyncio
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, run_state_machine_as_test

from dpop_asgi import NoncePolicy, ProofPolicy
from dpop_asgi.testing import Client, Issuer, ManualClock
from tests.state_machine.flaky_store import FlakyStore
from tests.state_machine.fleet import Attempt, Proof, Rules, Token, Worker, quiet, sign
from tests.state_machine.judge import check_answer, check_storm
from tests.state_machine.oracle import Oracle
from tests.state_machine.strategies import modes, nonce_policies, proof_policies, skews, tokens

CLIENTS = [Client() for _ in range(3)]
ISSUER = Issuer("https://id.example.com", audience="https://api.example.com")
FORGER = Issuer(ISSUER.url, audience=ISSUER.audience)


def examine(machine, *, examples, steps=50):
    """Let anything happen in any order, in so many examples; always the same ones, unless pytest is told a seed.

    Whoever explores gets four times as many: what must be reached is reached on a way of its own.
    """
    machine.seen = Counter()
    thorough = settings(
        max_examples=examples * 4 if settings.get_current_profile_name() == "explore" else examples,
        stateful_step_count=steps,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=thorough)


def begin(machine, **configured):
    """One of them, and its first token, for what is to happen in a certain order."""
    machine.seen = Counter()
    fleet = machine()
    usual = {"nonces": NoncePolicy(), "policy": ProofPolicy(), "mode": "required", "skewed": (0.0, 0.0, 0.0)}
    return fleet, fleet.start(**{**usual, **configured})


class Machine(RuleBasedStateMachine):
    """Three workers, and three clients of which each may be a thief to the others."""

    on_store_failure = "refuse"
    seen: Counter[str]

    def make_store(self):
        return FlakyStore(self.clock)

    def worker_store(self):
        """All share one."""
        return self.store

    @initialize(
        nonces=st.none() | nonce_policies | nonce_policies | nonce_policies,
        policy=proof_policies,
        mode=modes,
        skewed=st.tuples(skews, skews, skews),
        target=tokens,
    )
    def start(self, nonces, policy, mode, skewed):
        if self.on_store_failure == "accept":
            nonces = nonces or NoncePolicy()
        self.runner = asyncio.Runner()
        self.clock = ManualClock(1_700_000_040.0)
        self.store = self.make_store()
        self.rules_of_all = Rules(nonces, policy, mode, self.on_store_failure)
        self.oracle = Oracle(self.rules_of_all, self.store)
        self.fleet = [Worker(self.rules_of_all, self.clock, ISSUER, self.worker_store(), skew=skew) for skew in skewed]
        self.newest: dict[Client, str] = {}
        self.nonces: list[str] = ["never-handed-out", "mal formed"]
        self.passed: list[Attempt] = []
        self.remembered: dict[Proof, int] = {}
        return self.issue(CLIENTS[0], 3600.0)

    def teardown(self):
        if hasattr(self, "runner"):
            self.runner.close()

    @invariant()
    def nothing_is_left_running(self):
        if hasattr(self, "runner"):
            assert not asyncio.all_tasks(self.runner.get_loop())

    def issue(self, client, lifetime, issuer=ISSUER):
        expires_at = int(self.clock()) + lifetime
        text = issuer.access_token(client, header={"kid": ISSUER.kid}, claims={"exp": expires_at})
        return Token(text, client, expires_at, issuer is ISSUER)

    def sign(self, token, client=None, **changes):
        """A proof with the newest nonce, by the client whose token it is, but for what is asked otherwise."""
        client = client or token.bound_to or CLIENTS[0]
        return sign(client, token, **{"issued_at": int(self.clock()), "nonce": self.newest.get(client), **changes})

    def send(self, attempt, worker):
        """And hold the answer against what must be answered."""
        return self.runner.run(self._send(attempt, self.fleet[worker]))

    async def _send(self, attempt, worker):
        verdict, told = self.oracle.judge(attempt, worker), dict(worker.view.told)
        self.store.begin_request()
        answer, decision = await worker.ask(attempt)
        check_answer(self.oracle, attempt, worker, verdict, told, answer, decision)
        self._note(attempt, [verdict], accepted=answer.status == 200, remembered=decision.replay_checked)
        self.seen[f"{answer.status} {'' if decision.reason is None else decision.reason.value}".strip()] += 1
        self._refresh_slots(attempt, answer)
        await quiet()
        return answer

    def send_everywhere(self, attempt, copies):
        """So often at once, to all workers in turn."""
        self.runner.run(self._send_everywhere(attempt, [self.fleet[copy % 3] for copy in range(copies)]))

    async def _send_everywhere(self, attempt, asked):
        verdicts = [self.oracle.judge(attempt, worker) for worker in asked]
        answers = await asyncio.gather(*(worker.ask(attempt) for worker in asked))
        accepted = check_storm(self.oracle, attempt, verdicts, [answer for answer, _ in answers])
        self._note(attempt, verdicts, accepted=accepted > 0, remembered=self.store.fault.answers("proof"))
        self.seen[f"at once, {accepted or 'none'} passed"] += 1
        await quiet()

    def _note(self, attempt, verdicts, *, accepted, remembered):
        if any(verdict.spends for verdict in verdicts) and self.store.fault.writes("proof"):
            self.oracle.note(attempt.proof, accepted=accepted, at=min(verdict.at for verdict in verdicts))
        if accepted and attempt.proof is not None:
            self._check_first_use(attempt.proof, remembered=remembered)
            self.passed.append(attempt)

    def _check_first_use(self, proof, *, remembered):
        """No proof is accepted twice, unless the store has lost its data or does not answer."""
        losses = self.remembered.get(proof)
        if losses is not None:
            assert losses < self.oracle.losses or not remembered
            self.seen["accepted again after a loss" if remembered else "accepted again without the store"] += 1
        if remembered:
            self.remembered[proof] = self.oracle.losses

    def _refresh_slots(self, attempt, answer):
        for nonce in answer.all("dpop-nonce"):
            self.nonces.append(nonce)
            if attempt.proof is not None:
                self.newest[attempt.proof.client] = nonce
