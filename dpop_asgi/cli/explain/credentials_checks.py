"""Which token and which proof were sent, and to which URL (RFC 9449 §7.1)."""

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.findings import Findings
from dpop_asgi.cli.explain.message import encoded
from dpop_asgi.cli.explain.table import AUTHORIZATION, HEADER, URL
from dpop_asgi.core.credentials import Credentials, IncomingRequest, read_credentials
from dpop_asgi.core.policy import Scheme
from dpop_asgi.errors import InvalidProof, InvalidRequest, MissingCredentials, Reason


def check_credentials(case: Case, findings: Findings) -> None:
    """The checks before the proof is read. Fills in token, proof and target URI."""
    scheme = _check_authorization(case, findings)
    given = case.message.proofs
    if given is None or (not given and case.message.authorizations is None):
        return
    if scheme == "Bearer" and case.rules.mode == "mixed":
        # It isn't looked at.
        return
    proofs = [encoded(value) for value in given]
    findings.note(HEADER, headers=len(proofs))
    try:
        case.proof = Credentials("DPoP", b"", proofs).proof()
        findings.passed(Reason.PROOF_MISSING, Reason.PROOF_REPEATED)
    except InvalidProof as failure:
        findings.stopped(failure, (Reason.PROOF_MISSING, Reason.PROOF_REPEATED))


def _check_authorization(case: Case, findings: Findings) -> Scheme | None:
    values = case.message.authorizations
    if values is None:
        return None
    findings.note(AUTHORIZATION, headers=len(values))
    try:
        credentials = read_credentials([(b"authorization", encoded(value)) for value in values])
    except (MissingCredentials, InvalidRequest) as failure:
        findings.stopped(failure, AUTHORIZATION.reasons)
        return None
    case.token = credentials.token
    findings.note(AUTHORIZATION, scheme=credentials.scheme, characters=len(case.token))
    if credentials.scheme == "Bearer" and case.rules.mode == "required":
        findings.failed(Reason.BEARER_NOT_ACCEPTED)
    findings.passed(*AUTHORIZATION.reasons)
    return credentials.scheme


def check_url(case: Case, findings: Findings) -> None:
    """Whether the URL of the request is one that a server would compare (RFC 3986 §6.2)."""
    url = case.message.url
    if url is None:
        return
    try:
        case.target_uri = IncomingRequest(case.message.method or "GET", url, headers=()).resolved_uri()
        findings.passed(Reason.TARGET_MALFORMED)
        findings.note(URL, url=case.target_uri)
    except InvalidRequest as failure:
        findings.failed(failure.reason, **failure.facts)
