"""For OpenTelemetry: metrics of all decisions, and attributes on the span of the request (docs/observability.md).

A call of the SDK's counter takes as long as a sixth of a signature verification. So decisions are counted here, and
read by an observable counter when metrics are collected; of accepted requests, only some are added to histograms.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial

from dpop_asgi.core.decision import Decision
from dpop_asgi.core.jwk import KEY_TYPES
from dpop_asgi.core.options import require
from dpop_asgi.core.ports import Health, Monitored
from dpop_asgi.errors import Reason
from dpop_asgi.log import logger

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
except ImportError as _error:
    _ADVICE = "dpop_asgi.opentelemetry needs the 'opentelemetry' extra: pip install 'dpop-asgi[opentelemetry]'"
    raise ImportError(_ADVICE) from _error

__all__ = ["Telemetry"]

# Each has a closed set of values, so the number of series is bounded. All are always there: Prometheus wants the same
# labels on all series of a metric.
_NAMES = ("dpop.outcome", "dpop.reason", "dpop.scheme", "dpop.bound", "dpop.algorithm")
_REASONS = frozenset(Reason)
_BOUND = {None: "unknown", True: "true", False: "false"}

# Seconds. A store in the same data centre responds within a millisecond; its timeout is 0.25 by default, that of an
# issuer 3. Clocks are accepted from 60 seconds ahead to 300 behind. Histograms take no values below 0.
_STORE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_TOKEN_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 3.0)
_OFFSET_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_AGE_SECONDS = (15.0, 30.0, 45.0, 60.0, 75.0, 90.0, 105.0, 120.0, 300.0)


class Telemetry:
    """An observer that counts decisions, and describes them on the current span. It makes no span of its own.

    Make one per process, and give it to all authenticators and proof verifiers: `observer=telemetry`.

    Args:
        watched: stores and token verifiers whose health is shown, where they are `Monitored`.
        meter_provider: makes the instruments; by default the global one.
        sample: one in this many accepted requests is added to the histograms, which keeps their shape. Rejected and
            unavailable ones are always added, and so is each token that had to be verified.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(self, *watched: object, meter_provider: MeterProvider | None = None, sample: int = 50) -> None:
        require("sample", type(sample) is int and sample >= 1, "a whole number of at least 1")
        self._sample = sample
        self._accepted = 0
        self._watched = [each for each in watched if isinstance(each, Monitored)]
        self._decisions: defaultdict[tuple[str, str, str, str, str], int] = defaultdict(int)
        self._unrecorded = 0
        self._has_failed = False
        meter = metrics.get_meter("dpop_asgi", meter_provider=meter_provider)
        histogram = meter.create_histogram
        self._store_seconds = histogram(
            "dpop.store.duration", "s", "Recording a proof as used", explicit_bucket_boundaries_advisory=_STORE_SECONDS
        )
        self._token_seconds = histogram(
            "dpop.token.duration", "s", "Verifying a token", explicit_bucket_boundaries_advisory=_TOKEN_SECONDS
        )
        self._clock_offset = histogram(
            "dpop.clock.offset",
            "s",
            "Between the iat of an accepted proof and its arrival",
            explicit_bucket_boundaries_advisory=_OFFSET_SECONDS,
        )
        self._nonce_age = histogram(
            "dpop.nonce.age", "s", "Age of an accepted nonce", explicit_bucket_boundaries_advisory=_AGE_SECONDS
        )
        meter.create_observable_counter(
            "dpop.decisions", [self._observe_decisions], "{decision}", "Decisions about requests"
        )
        meter.create_observable_counter(
            "dpop.proofs.unrecorded",
            [lambda _: [Observation(self._unrecorded)]],
            "{proof}",
            "Proofs accepted without being recorded, since the store was unavailable",
        )
        self._show_health(meter)

    def _show_health(self, meter: Meter) -> None:
        availability = "Whether the last calls succeeded: 1 or 0"
        for kind in ("store", "issuer"):
            meter.create_observable_gauge(
                f"dpop.{kind}.available", [partial(self._observe_health, kind, _available, min)], "", availability
            )
        meter.create_observable_gauge(
            "dpop.issuer.keys.age",
            [partial(self._observe_health, "issuer", _age, max)],
            "s",
            "Since the keys were fetched",
        )

    def __call__(self, decision: Decision) -> None:
        """Count the decision, and describe it on the current span. Whatever fails there is logged once."""
        self._decisions[_key(decision)] += 1
        if not decision.replay_checked:
            self._unrecorded += 1
        try:
            self._record(decision)
            span = trace.get_current_span()
            if span.is_recording():
                span.set_attributes(_attributes(decision))
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                logger.exception("telemetry failed; requests are not affected, and this is logged once")

    def _record(self, decision: Decision) -> None:
        if decision.token_seconds is not None:
            self._token_seconds.record(decision.token_seconds, {"dpop.outcome": decision.outcome})
        is_accepted = decision.outcome == "accepted"
        if is_accepted:
            self._accepted += 1
            if self._accepted % self._sample:
                return
        if decision.store_seconds is not None:
            self._store_seconds.record(decision.store_seconds, {"dpop.outcome": decision.outcome})
        # Of accepted proofs only: anyone can invent an `iat`.
        if is_accepted and decision.clock_offset is not None:
            offset = decision.clock_offset
            self._clock_offset.record(abs(offset), {"dpop.clock": "ahead" if offset < 0 else "behind"})
        if is_accepted and decision.nonce_age is not None:
            self._nonce_age.record(max(decision.nonce_age, 0.0))

    def _observe_decisions(self, _: CallbackOptions) -> Iterable[Observation]:
        # A copy: this is another thread.
        return [
            Observation(count, dict(zip(_NAMES, key, strict=True))) for key, count in self._decisions.copy().items()
        ]

    def _observe_health(
        self,
        kind: str,
        value: Callable[[Health], float | None],
        worst: Callable[[Iterable[float]], float],
        _: CallbackOptions,
    ) -> Iterable[Observation]:
        found = [health for each in self._watched for health in each.health() if health.kind == kind]
        values: defaultdict[str, list[float]] = defaultdict(list)
        for health in found:
            if (number := value(health)) is not None:
                values[health.name].append(number)
        # Keys and introspection endpoint of an issuer have one name: an exporter would show whichever comes last.
        return [Observation(worst(numbers), {f"dpop.{kind}": name}) for name, numbers in values.items()]


def _key(decision: Decision) -> tuple[str, str, str, str, str]:
    """The values of the labels. Of each, only those of a closed set."""
    reason = "none" if decision.reason is None else decision.reason if decision.reason in _REASONS else "other"
    algorithm = decision.algorithm if decision.algorithm in KEY_TYPES else "none"
    return (
        decision.outcome,
        decision.unavailable or reason,
        decision.scheme or "none",
        _BOUND[decision.bound],
        algorithm or "none",
    )


def _available(health: Health) -> float | None:
    return float(health.available)


def _age(health: Health) -> float | None:
    return health.age


def _attributes(decision: Decision) -> dict[str, str | bool | float]:
    """What is known, under the names of the fields."""
    known = decision._asdict().items()
    return {f"dpop.{name}": value for name, value in known if value is not None}
