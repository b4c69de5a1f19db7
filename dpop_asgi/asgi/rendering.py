"""The response to a rejection: logged, with a current nonce, or 503 if there is none."""

from dpop_asgi.asgi.interface import Scope
from dpop_asgi.asgi.metadata_endpoint import MetadataEndpoint
from dpop_asgi.asgi.rejection_log import RejectionLog
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.challenge import UNAUTHORIZED, Challenger, ErrorResponse, status_of, unavailable
from dpop_asgi.core.policy import Scheme
from dpop_asgi.errors import DPoPError, Refusal


class Renderer:
    """Renders every rejection of one middleware.

    Args:
        authenticator: knows the algorithms and the nonces.
        realm: the protection space named in Bearer challenges.
        metadata: says where the metadata of each resource is.

    Raises:
        ValueError: If `realm` can't be sent; the message names it.
    """

    def __init__(self, authenticator: Authenticator, *, realm: str, metadata: MetadataEndpoint) -> None:
        self._metadata = metadata
        self._log = RejectionLog()
        self._authenticator = authenticator
        algorithms = authenticator.proof_policy.algorithms
        self._challenger = Challenger(algorithms=algorithms, mode=authenticator.mode, realm=realm)
        self._without_bearer = Challenger(algorithms=algorithms, realm=realm)

    async def response_to(
        self,
        error: DPoPError,
        scheme: Scheme,
        accepts_bearer: bool,  # noqa: FBT001 - see `Render`
        scope: Scope,
        client_id: str | None = None,
    ) -> ErrorResponse:
        """The response to `error`.

        Args:
            error: why the request is rejected.
            scheme: under which the access token was sent.
            accepts_bearer: whether the route accepts what the authenticator's mode does.
            scope: of the request.
            client_id: of the verified token.
        """
        if isinstance(error, Refusal):
            self._log.rejected(error, scope, client_id)
            try:
                challenged = status_of(error) == UNAUTHORIZED
                nonce = await self._authenticator.challenge_nonce(error) if challenged else None
                challenger = self._challenger if accepts_bearer else self._without_bearer
                parameters = self._metadata.parameters_for(scope)
                return challenger.response_to(error, scheme=scheme, nonce=nonce, parameters=parameters)
            except DPoPError as store_error:
                error = store_error
        self._log.unavailable(error, scope, client_id)
        return unavailable()
