"""Which rejection is behind an error of the app."""

import sys

from dpop_asgi.errors import DPoPError

_SERVER_ERROR = 500


def rejection_in(error: BaseException | None) -> DPoPError | None:
    """The rejection that `error` is, or the first one in a group of errors, as an `asyncio.TaskGroup` raises them.

    One rejection decides, whatever else failed beside it: the request must not get a response that says otherwise.
    """
    if isinstance(error, ExceptionGroup):
        error = error.subgroup(DPoPError)
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
    return error if isinstance(error, DPoPError) else None


def has_other_errors(error: BaseException) -> bool:
    """Whether `error` is a group with errors in it that are no rejections, and have to be reported."""
    return isinstance(error, ExceptionGroup) and error.split(DPoPError)[1] is not None


def rejection_being_handled() -> DPoPError | None:
    """The rejection in whose `except` block, however far out, the code that calls this runs.

    Also one that was made an HTTP error 500 of, as `except Exception: raise HTTPException(500)` does. An error of any
    other kind may well be raised while a rejection is handled, and has causes of its own.
    """
    error = sys.exception()
    if getattr(error, "status_code", None) == _SERVER_ERROR and error is not None:
        error = error.__cause__ or error.__context__
    return rejection_in(error)
