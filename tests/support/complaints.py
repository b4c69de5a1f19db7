"""What Python says about things that were left behind: connections, tasks, exceptions."""

import contextlib
import gc
import logging
import sys
import warnings
from collections.abc import Iterator


class _Listener(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())


@contextlib.contextmanager
def no_complaints() -> Iterator[None]:
    """Fails when anything in the block, or what it leaves behind, makes Python or asyncio complain."""
    said: list[str] = []
    listener, hook = _Listener(said), sys.unraisablehook
    logging.getLogger("asyncio").addHandler(listener)
    sys.unraisablehook = lambda what: said.append(f"{what.err_msg}: {what.exc_value!r}")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
            gc.collect()
            gc.collect()
    finally:
        sys.unraisablehook = hook
        logging.getLogger("asyncio").removeHandler(listener)
    said += [str(warning.message) for warning in caught]
    assert not said, said
