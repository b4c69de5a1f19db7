"""A clock for tests."""


class ManualClock:
    """A clock that stands until it is moved: pass it wherever a `clock` is taken."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now: float = now

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on, or back."""
        self.now += seconds
