"""What is drawn: how a fleet is configured, who does something, when, and what breaks."""

from hypothesis import strategies as st
from hypothesis.stateful import Bundle

from dpop_asgi import NoncePolicy, ProofPolicy
from tests.state_machine.flaky_store import Fault

# Chosen so that a period is longer than two clocks may differ, and that nonces and `iat` each come first to an end.
nonce_policies = st.builds(
    NoncePolicy,
    period=st.sampled_from([20.0, 60.0, 300.0]),
    grace=st.sampled_from([0, 1, 2]),
    lookahead=st.sampled_from([1, 2, 5]),
)
proof_policies = st.builds(
    ProofPolicy, max_age=st.sampled_from([30.0, 300.0]), max_future=st.sampled_from([10.0, 60.0])
)
modes = st.sampled_from(["required", "mixed"])

# Clocks of two workers differ by less than the ten seconds that are allowed.
max_skew = 4.99
skews = st.sampled_from([-max_skew, 1.5, max_skew])
seconds = st.sampled_from([0.25, 1.0, 5.0, 12.0, 19.75, 30.0, 48.0, 61.0, 130.0, 400.0, 4000.0])
before_the_end = st.sampled_from([0.001, 0.5, 2.0])
around_the_end = st.sampled_from([-1.0, -0.001, 0.001])
lifetimes = st.sampled_from([60.0, 3600.0])

_kinds = st.sampled_from([frozenset({"nonce", "proof"}), frozenset({"proof"}), frozenset({"nonce"})])
_delays = st.sampled_from([0.1, 3.0, 20.0, 31.0, 100.0, 700.0])
faults = st.builds(Fault, st.sampled_from(["refuse", "lose-reply"]), _kinds) | st.builds(
    Fault, st.sampled_from(["slow-request", "slow-reply"]), _kinds, _delays
)

workers = st.integers(0, 2)
clients = st.integers(0, 2)
copies = st.integers(2, 9)
numbers = st.integers(0, 30)
paths = st.sampled_from(["/r", "/s"])
methods = st.sampled_from(["GET", "POST"])
tokens = Bundle("tokens")
attempts = Bundle("attempts")
