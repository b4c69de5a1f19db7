"""Holds an answer against the oracle's verdict, and against what must hold for every answer of its kind."""

from collections.abc import Mapping, Sequence

from dpop_asgi import Decision, Reason
from tests.state_machine.fleet import Attempt, Worker
from tests.state_machine.oracle import Oracle, Verdict
from tests.support.api import Answer
from tests.support.challenges import checked_challenges


def check_answer(
    oracle: Oracle,
    attempt: Attempt,
    worker: Worker,
    verdict: Verdict,
    told: Mapping[int, str],
    answer: Answer,
    decision: Decision,
) -> None:
    """`told` is what the worker knew of nonces when the request arrived."""
    said = f"{answer.status} {decision} against {verdict} for {attempt}"
    newest = oracle.offered(told, verdict.at) | oracle.offered(worker.view.told, verdict.at)
    if answer.status == 200:
        assert verdict.accepted, said
        assert decision.replay_checked == (attempt.proof is None or oracle.store.fault.answers("proof")), said
        _check_caller(attempt, worker)
        _check_newer_nonce(oracle, attempt, answer, newest)
    elif answer.status == 401:
        assert decision.reason in verdict.reasons, said
        _check_challenge(oracle, attempt, answer, newest)
    else:
        assert (answer.status, verdict.unavailable) == (503, True), said
        _check_unavailable(answer)


def _check_caller(attempt: Attempt, worker: Worker) -> None:
    client = attempt.token.bound_to
    assert attempt.token.genuine
    assert (attempt.proof is None) == (client is None)
    assert worker.caller.key_thumbprint == (None if client is None else client.thumbprint)


def _check_newer_nonce(oracle: Oracle, attempt: Attempt, answer: Answer, newest: set[str | None]) -> None:
    """A newer nonce than the client's goes with the answer, and never an older or the same."""
    sent = attempt.proof and attempt.proof.nonce
    slots = oracle.store.ever
    expected = {
        nonce if nonce not in {None, sent} and slots[nonce] >= slots[sent or nonce] else None
        for nonce in newest
        if sent is not None and oracle.rules.nonces is not None
    } or {None}
    assert {*answer.all("dpop-nonce")} or {None} <= expected, (answer, expected)


def _check_challenge(oracle: Oracle, attempt: Attempt, answer: Answer, newest: set[str | None]) -> None:
    challenges = checked_challenges(answer.headers)
    assert challenges[0].scheme == attempt.scheme or oracle.rules.mode == "required"
    assert "DPoP" in {challenge.scheme for challenge in challenges}
    assert answer.all("cache-control") == ["no-store"]
    if oracle.rules.nonces is None:
        assert answer.all("dpop-nonce") == []
        return
    nonce = answer.one("dpop-nonce")
    assert nonce in newest
    if challenges[0].parameters.get("error") == "use_dpop_nonce":
        assert attempt.proof is None or nonce != attempt.proof.nonce


def _check_unavailable(answer: Answer) -> None:
    """New credentials would not help, so nothing asks for them."""
    assert answer.one("retry-after")
    assert answer.all("www-authenticate") == answer.all("dpop-nonce") == []


def check_storm(oracle: Oracle, attempt: Attempt, verdicts: Sequence[Verdict], answers: Sequence[Answer]) -> int:
    """One request, sent many times at once: of those that could pass one does. Gives how many were accepted."""
    accepted = 0
    for verdict, answer in zip(verdicts, answers, strict=True):
        said = f"{answer.status} against {verdict} for {attempt}"
        accepted += answer.status == 200
        may_be = {200: verdict.accepted, 401: bool(verdict.reasons) or verdict.spends, 503: verdict.unavailable}
        assert may_be[answer.status], said
    competing = [verdict for verdict in verdicts if verdict.accepted and verdict.spends]
    if competing and oracle.store.fault.answers("proof"):
        certain = any(Reason.PROOF_REPLAYED not in verdict.reasons for verdict in competing)
        assert int(certain) <= accepted <= 1, (accepted, verdicts)
    return accepted
