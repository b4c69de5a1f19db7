"""Finds the rejection behind an error that the app raised."""

import sys

from dpop_asgi.errors import DPoPError

_SERVER_ERROR = 500


def rejection_in(error: BaseException | None) -> DPoPError | None:
    """`error` itself if it is a rejection, or the first one in a group of errors, as raised by `asyncio.TaskGroup`.

    A single rejection decides the response, whatever else failed beside it.
    """
    if isinstance(error, DPoPError):
        return error
    if isinstance(error, ExceptionGroup):
        error = error.subgroup(DPoPError)
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
    return error if isinstance(error, DPoPError) else None


def has_other_errors(error: BaseException) -> bool:
    """Whether `error` is a group that also contains errors other than rejections, which have to be reported."""
    return isinstance(error, ExceptionGroup) and error.split(DPoPError)[1] is not None


def rejection_being_handled() -> DPoPError | None:
    """The rejection that is being handled by an `except` block around the caller's code, at any depth.

    Includes one that was turned into a 500, as `except Exception: raise HTTPException(500)` does. Any other error
    raised while a rejection is handled has causes of its own.
    """
    error = sys.exception()
    if getattr(error, "status_code", None) == _SERVER_ERROR and error is not None:
        error = error.__cause__ or error.__context__
    return rejection_in(error)
