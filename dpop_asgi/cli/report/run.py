"""`dpop-asgi report`: from a log to its numbers."""

from dpop_asgi.cli.report.reading import decisions_in, lines_of
from dpop_asgi.cli.report.screen import print_json, print_tally
from dpop_asgi.cli.report.tally import tally_of
from dpop_asgi.cli.unusable import Unusable


def report(path: str, *, as_json: bool) -> int:
    """Print the numbers of a log.

    Args:
        path: of the log; `-` is standard input.
        as_json: for programs.

    Returns:
        The exit code: 1 if clients are left on Bearer, else 0.

    Raises:
        Unusable: If the log can't be read, or has no decisions in it.
    """
    tally = tally_of(decisions_in(lines_of(path)))
    if not tally.decisions:
        raise Unusable(
            "LOGFILE: there are no decisions in it: pass observer=log_decisions to the Authenticator, and log"
            " the level INFO of the logger dpop_asgi.decisions."
        )
    (print_json if as_json else print_tally)(tally)
    return 1 if tally.left else 0
