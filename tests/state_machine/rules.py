"""What clients, attackers, operators and time may do, in any order."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.state_machine import strategies as draw
from tests.state_machine.flaky_store import HEALTHY
from tests.state_machine.fleet import Attempt, under_dpop
from tests.state_machine.machine import CLIENTS, FORGER, Machine
from tests.state_machine.oracle import TOKEN_LEEWAY

has_accepted = precondition(lambda machine: machine.passed)
has_nonces = precondition(lambda machine: machine.store.ever)
store_is_not_slow = precondition(lambda machine: not machine.store.fault.seconds)


class Clients(Machine):
    """Honest, but their clocks and their random numbers may be bad."""

    @rule(client=draw.clients, bound=st.booleans(), lifetime=draw.lifetimes, target=draw.tokens)
    def get_a_token(self, client, bound, lifetime):
        return self.issue(CLIENTS[client] if bound else None, lifetime)

    @rule(token=draw.tokens, worker=draw.workers, method=draw.methods, path=draw.paths, target=draw.attempts)
    def ask(self, token, worker, method, path):
        """With the newest nonce; after a challenge once more with the nonce that came with it."""
        attempt = under_dpop(self.sign(token, method=method, path=path))
        answer = self.send(attempt, worker)
        if "use_dpop_nonce" in "".join(answer.all("www-authenticate")):
            attempt = under_dpop(self.sign(token, method=method, path=path))
            self.send(attempt, worker)
        return attempt

    @rule(token=draw.tokens, worker=draw.workers, early=st.integers(-310, 70))
    def ask_with_a_clock_that_is_off(self, token, worker, early):
        self.send(under_dpop(self.sign(token, issued_at=int(self.clock()) + early)), worker)

    @rule(client=draw.clients, worker=draw.workers, after=draw.around_the_end)
    def ask_when_the_token_expires(self, client, worker, after):
        token = self.issue(CLIENTS[client], 60.0)
        self.ask(token, worker, "GET", "/r")
        last = token.expires_at + TOKEN_LEEWAY - self.fleet[worker].skew
        self.clock.now = max(self.clock.now, last + after)
        self.ask(token, worker, "GET", "/r")

    @has_accepted
    @rule(number=draw.numbers, worker=draw.workers)
    def use_a_jti_again(self, number, worker):
        """In another proof, by the same client for the same resource."""
        old = self.passed[-1 - number % len(self.passed)].proof
        self.send(under_dpop(self.sign(old.token, old.client, path=old.path, jti=old.jti)), worker)


class Attackers(Machine):
    """They see and send everything, and hold no key but their own."""

    @has_accepted
    @rule(number=draw.numbers, worker=draw.workers)
    def replay(self, number, worker):
        self.send(self.passed[-1 - number % len(self.passed)], worker)

    @has_accepted
    @rule(number=draw.numbers, worker=draw.workers, before=draw.before_the_end)
    def replay_at_the_last_instant(self, number, worker, before):
        """At which this worker, by its own clock, would still accept it."""
        attempt = self.passed[-1 - number % len(self.passed)]
        last = self.oracle.dies_at(attempt.proof) - self.fleet[worker].skew - before
        self.clock.now = max(self.clock.now, last)
        self.send(attempt, worker)

    @rule(token=draw.tokens, order=st.permutations(range(3)), before=draw.before_the_end)
    def replay_at_the_last_instant_where_the_clock_is_behind(self, token, order, before):
        """By as much as is allowed."""
        ahead, behind, _ = order
        self.fleet[ahead].skew, self.fleet[behind].skew = draw.max_skew, -draw.max_skew
        self.ask(token, ahead, "GET", "/r")
        if self.passed:
            self.replay_at_the_last_instant(0, behind, before)

    @rule(attempt=draw.attempts, worker=draw.workers)
    def send_again(self, attempt, worker):
        """Whatever became of it."""
        self.send(attempt, worker)

    @store_is_not_slow
    @rule(attempt=draw.attempts, copies=draw.copies)
    def send_again_everywhere_at_once(self, attempt, copies):
        self.send_everywhere(attempt, copies)

    @store_is_not_slow
    @rule(token=draw.tokens, copies=draw.copies)
    def send_a_new_proof_everywhere_at_once(self, token, copies):
        self.send_everywhere(under_dpop(self.sign(token)), copies)

    @rule(attempt=draw.attempts, worker=draw.workers, method=draw.methods, path=draw.paths)
    def use_a_proof_elsewhere(self, attempt, worker, method, path):
        self.send(Attempt(method, path, attempt.scheme, attempt.token, attempt.proof), worker)

    @rule(attempt=draw.attempts, token=draw.tokens, worker=draw.workers)
    def use_a_proof_with_another_token(self, attempt, token, worker):
        self.send(Attempt(attempt.method, attempt.path, attempt.scheme, token, attempt.proof), worker)

    @rule(token=draw.tokens, thief=draw.clients, worker=draw.workers, target=draw.attempts)
    def use_a_stolen_token_with_the_thiefs_key(self, token, thief, worker):
        attempt = under_dpop(self.sign(token, CLIENTS[thief]))
        self.send(attempt, worker)
        return attempt

    @rule(token=draw.tokens, thief=draw.clients, worker=draw.workers)
    def show_the_victims_key_and_sign_with_the_thiefs(self, token, thief, worker):
        self.send(under_dpop(self.sign(token, signed_by=CLIENTS[thief].key)), worker)

    @rule(token=draw.tokens, worker=draw.workers, target=draw.attempts)
    def use_a_token_as_bearer(self, token, worker):
        attempt = Attempt("GET", "/r", "Bearer", token)
        self.send(attempt, worker)
        return attempt

    @rule(client=draw.clients, worker=draw.workers)
    def forge_a_token(self, client, worker):
        token = self.issue(CLIENTS[client], 3600.0, FORGER)
        self.send(under_dpop(self.sign(token)), worker)

    @rule(token=draw.tokens, worker=draw.workers, number=draw.numbers)
    def use_a_nonce_of_the_past(self, token, worker, number):
        """Or one that was never handed out, or is malformed."""
        nonce = self.nonces[number % len(self.nonces)]
        self.send(under_dpop(self.sign(token, nonce=nonce)), worker)

    @has_nonces
    @rule(token=draw.tokens, worker=draw.workers, ahead=draw.numbers)
    def use_a_nonce_ahead_of_its_time(self, token, worker, ahead):
        """As somebody can who reads in the store, or was told it by a worker whose clock was wrong."""
        ever = sorted(self.store.ever, key=self.store.ever.get)
        self.send(under_dpop(self.sign(token, nonce=ever[-1 - ahead % len(ever)])), worker)

    @rule(token=draw.tokens, worker=draw.workers, target=draw.attempts)
    def leave_out_the_nonce(self, token, worker):
        attempt = under_dpop(self.sign(token, nonce=None))
        self.send(attempt, worker)
        return attempt


class Operators(Machine):
    """Time passes, clocks are corrected, workers are started anew, the store breaks."""

    @rule(by=draw.seconds)
    def let_time_pass(self, by):
        self.clock.advance(by)

    @rule(worker=draw.workers, skew=draw.skews)
    def correct_a_clock(self, worker, skew):
        self.fleet[worker].skew = skew

    @rule(worker=draw.workers)
    def restart_a_worker(self, worker):
        self.fleet[worker].restart()

    @rule(fault=draw.faults)
    def break_the_store(self, fault):
        self.store.fault = fault

    @rule()
    def repair_the_store(self):
        self.store.fault = HEALTHY

    @rule()
    def lose_what_is_in_the_store(self):
        self.store.lose_everything()
        self.oracle.losses += 1


class Fleet(Clients, Attackers, Operators):
    """Everything at once."""
