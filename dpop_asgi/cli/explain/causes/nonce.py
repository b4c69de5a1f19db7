"""Causes in the nonce of the proof. Being challenged now and then is normal: the client sends the request again."""

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes.kinds import Advice, Causes, always
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.errors import Reason

_RETRY = "Make a new proof with the DPoP-Nonce of the response, and send the request again."


def _null(case: Case, _check: Check) -> Advice | None:
    nonce = (case.claims or {}).get("nonce")
    if not isinstance(nonce, str):
        return None
    return Advice(
        "The nonce has characters that a nonce can't have, or is too long: it was changed on the way.",
        "Copy the value of DPoP-Nonce as it is.",
    )


def _stale(case: Case, check: Check) -> Advice | None:
    if case.rules.store is not None or "server" not in check.facts:
        return None
    return Advice(
        "The nonce is stale: the server has issued another one since, or it is from another server, such as the "
        "authorization server, which has its own.",
        f"{_RETRY} Keep the DPoP-Nonce of every response, of successful ones too, one per origin.",
    )


CAUSES: Causes = {
    Reason.NONCE_MISSING: (
        always(
            "The proof has no nonce, and the server wants one. That is how each conversation begins; if it happens "
            "again and again, the client doesn't support nonces.",
            _RETRY,
        ),
    ),
    Reason.NONCE_MALFORMED: (
        _null,
        always("The nonce isn't a string.", "Copy the value of DPoP-Nonce as it is."),
    ),
    Reason.NONCE_UNKNOWN: (
        _stale,
        always(
            "No worker has issued this nonce lately: it is old, revoked, or from another server, or workers disagree "
            "(another store, database, namespace or period than given here).",
            f"{_RETRY} If it goes on, compare the settings of all workers.",
        ),
    ),
    Reason.NONCE_EXPIRED: (
        always(
            "The nonce is stale: the client has paused, or doesn't read DPoP-Nonce from successful responses.",
            f"{_RETRY} Keep the DPoP-Nonce of every response.",
        ),
    ),
    Reason.NONCE_REVOKED: (always("An operator of the server has revoked all nonces until then.", _RETRY),),
    Reason.NONCE_SUPERSEDED: (always("The server's Redis was restarted or replaced.", _RETRY),),
}
