"""A clock for tests."""


class ManualClock:
    """A clock that only moves when it is advanced. Pass it wherever there is a `clock` option."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now: float = now

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock forward, or back if negative."""
        self.now += seconds
