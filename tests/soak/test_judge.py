"""The judge of a soak objects to what the model does not allow; what it must let pass, each soak shows."""

import pytest

from dpop_asgi import Reason
from tests.soak import faults
from tests.soak.exchanges import (
    ACCEPTED,
    CHALLENGED,
    LOST,
    NOT_CONNECTED,
    REPLAYED,
    SILENCE,
    UNAVAILABLE,
    Attempt,
    Exchange,
    KnownNonce,
    NonceCalendar,
    Outcome,
)
from tests.soak.judge import MACHINE_STALLED, RECOVERY, Judge
from tests.soak.timeline import Timeline, Window

NOW = 1_700_000_000.0
LIVE = KnownNonce("nonce", NOW + 60, NOW + 60, NOW - 60, NOW - 60)
DEAD = KnownNonce("nonce", NOW - 60, NOW - 60)
NEW = KnownNonce("nonce", NOW + 60, NOW + 60, NOW - 2.5, NOW - 2.5)

# What the judge calls it.
TWICE, MISSING, UNEXPLAINED = "accepted twice", "lost", "unexplained"


def answered(outcome, after=0.0, *, flaw=None):
    return Attempt("a", NOW + after, NOW + after + 0.01, outcome, flaw)


def broken(fault, began, ended, servers="ab"):
    return Window(fault, frozenset(servers), NOW + began, NOW + ended)


def case(name, attempts, wrong, *windows, slow=1.0, **exchange):
    """What is said (`wrong`) of one or more attempts, or their outcomes, while that was broken."""
    attempts = attempts if isinstance(attempts, list) else [attempts]
    made = [one if isinstance(one, Attempt) else answered(one) for one in attempts]
    wrong = wrong if isinstance(wrong, list) else [wrong]
    return pytest.param(made, wrong, list(windows), slow, exchange, id=name)


NO_WINDOW = [
    case("once of two that crossed", [REPLAYED, ACCEPTED], []),
    case("accepted twice of three", [ACCEPTED, REPLAYED, ACCEPTED], TWICE),
    case("accepted three times", [ACCEPTED] * 3, [TWICE] * 2),
    case("no copy accepted", [REPLAYED, REPLAYED], [UNEXPLAINED] * 2),
    case("a live nonce refused", CHALLENGED, UNEXPLAINED),
    case("a dead nonce accepted", ACCEPTED, UNEXPLAINED, nonce=DEAD),
    case("a missing nonce accepted", ACCEPTED, UNEXPLAINED, nonce=None),
    case("a good token rejected", Outcome("401 invalid_token", Reason.TOKEN_KEY_UNKNOWN), UNEXPLAINED),
    case("an error of the server", Outcome("500"), UNEXPLAINED),
    case("503 while nothing is broken", UNAVAILABLE, UNEXPLAINED),
    case("no connection while nothing is broken", NOT_CONNECTED, MISSING),
    case("no answer while nothing is broken", LOST, MISSING),
    case("a hang", SILENCE, MISSING),
    case("what was never sent uses nothing", [NOT_CONNECTED, REPLAYED], [MISSING, UNEXPLAINED]),
    case("a flaw", [answered(ACCEPTED, flaw="the answer to another client")], UNEXPLAINED),
]
# 503 is explained by what is broken then, and an answer that is missed by the end of its server.
BESIDE_A_WINDOW = [
    case("503 after Redis recovered", UNAVAILABLE, UNEXPLAINED, broken(faults.REDIS_FROZEN, -5, -0.1 - RECOVERY)),
    case("503 before", UNAVAILABLE, UNEXPLAINED, broken(faults.NETWORK_SILENT, 0.1, 5)),
    case("503 of another server", UNAVAILABLE, UNEXPLAINED, broken(faults.REDIS_KILLED, -1, 1, "b")),
    case("503 while another starts", UNAVAILABLE, UNEXPLAINED, broken(faults.SERVER_KILLED, -1, 1, "b")),
    case("503 on a machine that is busy no more", UNAVAILABLE, UNEXPLAINED, broken(MACHINE_STALLED, -9, -1)),
    *(
        case(f"503 after {fault}", UNAVAILABLE, UNEXPLAINED, broken(fault, -0.1, 0.1))
        for fault in (faults.CONNECTIONS_RESET, faults.REPLY_LOST, faults.ISSUER_AWAY)
    ),
    # It failed beside other tests: 503, 1.171 s after Redis was back.
    case("503 for too long", UNAVAILABLE, UNEXPLAINED, broken(faults.REDIS_RESTARTED_EMPTY, -5, -1.171)),
    case("503 a little longer", UNAVAILABLE, [], broken(faults.REDIS_RESTARTED_EMPTY, -5, -1.171), slow=1.5),
    case("lost while another is killed", LOST, MISSING, broken(faults.SERVER_KILLED, -0.1, 0.1, "b")),
    case("lost while Redis is killed", LOST, MISSING, broken(faults.REDIS_KILLED, -0.1, 0.1)),
    *(
        case(f"{fault}, and no nonce on a warm server", UNAVAILABLE, UNEXPLAINED, broken(fault, -1, 1), nonce=None)
        for fault in (faults.REDIS_FROZEN, faults.ISSUER_AWAY)
    ),
]
LOSSES = [faults.REDIS_KILLED, faults.REDIS_RESTARTED_EMPTY]


def _of_each_loss(fault):
    """What another incarnation of Redis does not excuse."""
    frozen = broken(faults.REDIS_FROZEN, -1, 1)
    return [
        case(f"{fault}: challenged before", CHALLENGED, UNEXPLAINED, broken(fault, 1, 2)),
        case(f"{fault}: challenged with a nonce told since", CHALLENGED, UNEXPLAINED, broken(fault, -80, -75)),
        case(f"{fault}: its new nonce is known", UNAVAILABLE, UNEXPLAINED, broken(fault, -13, -12), frozen, nonce=None),
        case(f"{fault}: no new nonce is needed", UNAVAILABLE, UNEXPLAINED, broken(fault, -1, -0.5), nonce=None),
    ]


INCARNATIONS = [
    *(row for fault in (*LOSSES, faults.REDIS_EMPTIED) for row in _of_each_loss(fault)),
    *(case(f"{fault}: the old nonce is accepted", ACCEPTED, UNEXPLAINED, broken(fault, -3, -2)) for fault in LOSSES),
    case("a nonce told since is accepted", ACCEPTED, [], broken(faults.REDIS_KILLED, -3, -2), nonce=NEW),
    # `master_replid` changes once more when a replica is back: one worker has seen it, the other not yet.
    case("recorded, but challenged", [answered(CHALLENGED, -0.1), REPLAYED], [], broken(faults.REDIS_KILLED, -3, -2)),
    case(
        "recorded without a reason",
        [answered(CHALLENGED, -0.1), REPLAYED],
        [UNEXPLAINED] * 2,
        broken(faults.REDIS_KILLED, -80, -79),
    ),
]


def _judged(attempts, windows, slow, exchange):
    judged = Exchange("once", b"", attempts=attempts, **{"nonce": LIVE, **exchange})
    judge = Judge(Timeline(windows), lambda seconds: seconds * slow)
    return [violation.wrong for violation in judge.violations(judged)]


@pytest.mark.parametrize(
    ("attempts", "wrong", "windows", "slow", "exchange"), [*NO_WINDOW, *BESIDE_A_WINDOW, *INCARNATIONS]
)
def test_what_the_model_does_not_allow_is_told(attempts, wrong, windows, slow, exchange):
    assert _judged(attempts, windows, slow, exchange) == wrong


@pytest.mark.parametrize("fault", [*LOSSES, faults.REDIS_EMPTIED])
def test_no_loss_of_data_excuses_a_second_use(fault):
    attempts = [answered(ACCEPTED, after=-2), answered(ACCEPTED, after=0.1)]
    assert TWICE in _judged(attempts, [broken(fault, -1, 0)], 1.0, {})


@pytest.mark.parametrize(("handed_out_at", "dies_at"), [(0.0, 10.0), (3.9, 10.0), (4.1, 15.0)])
def test_the_end_of_a_nonce_follows_from_when_it_was_handed_out(handed_out_at, dies_at):
    """In the last fifth of a slot the next one is."""
    known = NonceCalendar(5.0).known("nonce", handed_out_at, handed_out_at)
    assert (known.live_until, known.dead_from) == (dies_at, dies_at)
