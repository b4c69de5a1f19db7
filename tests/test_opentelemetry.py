"""Telemetry with the real SDK: instruments, attributes, bounded series, failures; and the alert rules by promtool."""

import logging
import os
import re
import shutil
import subprocess
from itertools import product
from types import SimpleNamespace

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from prometheus_client.exposition import generate_latest

from dpop_asgi import Decision, JWTVerifier, MemoryStore, Reason
from dpop_asgi.core.jwk import KEY_TYPES
from dpop_asgi.core.ports import Health
from dpop_asgi.opentelemetry import Telemetry
from tests.support.api import Api, App
from tests.support.processes import ROOT

ACCEPTED = Decision(
    "accepted", scheme="DPoP", bound=True, algorithm="ES256", client_id="shop", nonce_age=7.0, clock_offset=1.5,
    key_remembered=True, token_remembered=False, token_seconds=0.02, store_seconds=0.001,
)  # fmt: skip
PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")


class Recorded:
    """A telemetry, and what it has recorded, read as an exporter does."""

    def __init__(self, *watched, **options):
        self._reader = InMemoryMetricReader()
        self.telemetry = Telemetry(*watched, meter_provider=MeterProvider([self._reader]), **options)

    def metrics(self):
        data = self._reader.get_metrics_data()
        scopes = data.resource_metrics[0].scope_metrics if data else []
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name):
        """Labels and value, or count and sum, of each series."""
        points = self.metrics()[name].data.data_points
        return [(dict(point.attributes), getattr(point, "value", None) or (point.count, point.sum)) for point in points]


class Monitored:
    def health(self):
        return [Health("store", "redis", available=True), Health("issuer", "https://id.example", False, 30.0)]


# Instruments


def test_every_instrument_is_in_the_table_of_the_docs_with_its_unit():
    recorded = Recorded(Monitored(), sample=1)
    recorded.telemetry(ACCEPTED)
    rows = re.findall(r"^\| `(dpop\.[\w.]+)` \| \w+(?:, (s))? \| `(\w+)`", PAGE, re.MULTILINE)
    units = {name: unit for name, unit, _ in rows}
    assert {name: metric.unit for name, metric in recorded.metrics().items()} == {
        name: units.get(name, "unknown") or metric.unit for name, metric in recorded.metrics().items()
    }
    assert set(units) == set(recorded.metrics())
    assert all(metric.description for metric in recorded.metrics().values())


def test_what_shares_a_name_is_as_healthy_as_its_worst_part():
    """The keys and the introspection endpoint of an issuer; two stores."""

    class Parts:
        def health(self):
            yield from (Health("store", "redis", each) for each in (True, False, True))
            yield from (Health("issuer", "a", each, age) for each, age in ((False, 30.0), (True, None), (True, 5.0)))

    recorded = Recorded(Parts())
    metrics = {
        name: [point.value for point in metric.data.data_points]
        for name, metric in recorded.metrics().items()
        if name.endswith((".available", ".age"))
    }
    assert metrics == {"dpop.store.available": [0.0], "dpop.issuer.available": [0.0], "dpop.issuer.keys.age": [30.0]}


RECORDED = {
    "store": (ACCEPTED, "dpop.store.duration", {"dpop.outcome": "accepted"}, (1, 0.001)),
    "token": (ACCEPTED, "dpop.token.duration", {"dpop.outcome": "accepted"}, (1, 0.02)),
    "clock-behind": (ACCEPTED, "dpop.clock.offset", {"dpop.clock": "behind"}, (1, 1.5)),
    "clock-ahead": (ACCEPTED._replace(clock_offset=-3.0), "dpop.clock.offset", {"dpop.clock": "ahead"}, (1, 3.0)),
    "nonce": (ACCEPTED, "dpop.nonce.age", {}, (1, 7.0)),
    "nonce-ahead": (ACCEPTED._replace(nonce_age=-2.0), "dpop.nonce.age", {}, (1, 0.0)),
    "unrecorded": (ACCEPTED._replace(replay_checked=False), "dpop.proofs.unrecorded", {}, 1),
    "store-health": (ACCEPTED, "dpop.store.available", {"dpop.store": "redis"}, 1.0),
    "issuer-health": (ACCEPTED, "dpop.issuer.keys.age", {"dpop.issuer": "https://id.example"}, 30.0),
}


@pytest.mark.parametrize(("decision", "name", "labels", "value"), RECORDED.values(), ids=RECORDED)
def test_each_instrument_has_its_value(decision, name, labels, value):
    recorded = Recorded(Monitored(), sample=1)
    recorded.telemetry(decision)
    assert recorded.points(name) == [(labels, value)]


def test_only_counters_are_exact_and_histograms_take_a_sample_of_what_is_accepted():
    recorded = Recorded(sample=10)
    for _ in range(100):
        recorded.telemetry(ACCEPTED)
        recorded.telemetry(Decision("unavailable", unavailable="store", store_seconds=0.25))
    assert sorted(count for _, count in recorded.points("dpop.decisions")) == [100, 100]
    assert [(labels["dpop.outcome"], count) for labels, (count, _) in recorded.points("dpop.store.duration")] == [
        ("unavailable", 100),
        ("accepted", 10),
    ]


def test_nothing_of_a_rejected_proof_but_its_reason_is_in_a_metric():
    """Anybody can invent its `iat`."""
    recorded = Recorded(sample=1)
    recorded.telemetry(Decision("refused", Reason.ISSUED_TOO_EARLY, algorithm="ES256", clock_offset=1e9))
    assert "dpop.clock.offset" not in recorded.metrics()


async def test_the_health_of_an_api_is_shown_without_a_call(issuer, client, clock):
    store = MemoryStore(max_entries=9, clock=clock)
    verifier = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, clock=clock)
    recorded = Recorded(store, verifier, lambda: "not monitored")
    api = Api(App(), issuer, client, clock, store=store, verify_token=verifier, observer=recorded.telemetry)
    assert recorded.points("dpop.store.available") == [({"dpop.store": "memory"}, 1.0)]
    # The window of nonces, the settings of the fleet, and one proof.
    assert [(await api.request()).status for _ in range(2)] == [200, 503]
    [point] = recorded.metrics()["dpop.store.available"].data.data_points
    assert point.value == 0
    outcomes = {labels["dpop.outcome"]: labels["dpop.reason"] for labels, _ in recorded.points("dpop.decisions")}
    assert outcomes == {"accepted": "none", "unavailable": "store"}


# Series


def test_many_clients_make_a_bounded_number_of_series():
    recorded = Recorded(sample=1)
    for number in range(2000):
        recorded.telemetry(ACCEPTED._replace(client_id=f"client-{number}", clock_offset=number / 10))
    assert len(recorded.points("dpop.decisions")) == 1
    assert [len(metric.data.data_points) for metric in recorded.metrics().values()] == [1] * len(recorded.metrics())


def test_whatever_decision_there_is_the_labels_are_of_closed_sets():
    invented = ["x" * 100, "another"]
    recorded = Recorded()
    outcomes = [("accepted", None, None), ("unavailable", None, "store"), ("unavailable", None, "issuer")]
    outcomes += [("refused", reason, None) for reason in [*Reason, *invented]]
    rest = product(["DPoP", "Bearer", None], [True, False, None], [*KEY_TYPES, None, *invented])
    for (outcome, reason, away), (scheme, bound, algorithm) in product(outcomes, list(rest)):
        recorded.telemetry(Decision(outcome, reason, away, scheme, bound, algorithm))
    closed = (3 + len(Reason) + 1) * 3 * 3 * (len(KEY_TYPES) + 1)
    assert len(recorded.telemetry._decisions) == closed
    assert not any("x" * 100 in key or "another" in key for key in recorded.telemetry._decisions)


# Spans


@pytest.fixture
def spans():
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("test"), exporter


async def test_the_span_of_a_request_is_described_and_no_other_is_made(spans, issuer, client, clock):
    tracer, exporter = spans
    api = Api(App(), issuer, client, clock, observer=Recorded().telemetry)
    sent = await api.fields()
    with tracer.start_as_current_span("GET /r"):
        assert (await api.request()).status == 200
    [span] = exporter.get_finished_spans()
    told = dict(span.attributes)
    assert min(told.pop("dpop.token_seconds"), told.pop("dpop.store_seconds"), told.pop("dpop.nonce_age")) >= 0
    assert told == {
        "dpop.outcome": "accepted",
        "dpop.scheme": "DPoP",
        "dpop.bound": True,
        "dpop.algorithm": "ES256",
        "dpop.replay_checked": True,
        "dpop.after_acceptance": False,
        "dpop.client_id": told["dpop.client_id"],
        "dpop.clock_offset": 0.0,
        "dpop.key_remembered": False,
        "dpop.token_remembered": False,
    }
    assert not {api.token, *sent.values()} & set(map(str, span.attributes.values()))


def test_every_attribute_is_in_the_docs():
    assert {f"dpop.{name}" for name in Decision._fields} - set(re.findall(r"`(dpop\.\w+)`", PAGE)) == set()


# Failures


class _Fails:
    def record(self, *_):
        raise OSError("the meter is broken")

    def set_attributes(self, *_):
        raise OSError("the exporter is broken")

    def is_recording(self):
        return True


@pytest.mark.parametrize("part", ["meter", "span"])
async def test_what_fails_is_logged_once_and_changes_nothing(part, issuer, client, clock, caplog, monkeypatch):
    recorded = Recorded(sample=1)
    if part == "meter":
        recorded.telemetry._store_seconds = _Fails()
    else:
        monkeypatch.setattr("dpop_asgi.opentelemetry.trace", SimpleNamespace(get_current_span=_Fails))
    api = Api(App(), issuer, client, clock, observer=recorded.telemetry)
    assert [(await api.request()).status for _ in range(3)] == [200] * 3
    assert [record.message.partition(";")[0] for record in caplog.records] == ["telemetry failed"]
    assert sum(count for _, count in recorded.points("dpop.decisions")) == 3


def test_a_part_whose_health_is_unknown_does_not_hide_decisions(caplog):
    class Broken:
        def health(self):
            raise OSError("broken")

    caplog.set_level(logging.CRITICAL, "opentelemetry")
    recorded = Recorded(Broken())
    recorded.telemetry(ACCEPTED)
    assert [count for _, count in recorded.points("dpop.decisions")] == [1]


def test_a_sample_must_be_a_number_of_requests():
    with pytest.raises(ValueError, match=r"^sample: "):
        Telemetry(sample=0)


# Prometheus


def test_the_names_in_prometheus_are_those_of_the_docs():
    provider = MeterProvider([PrometheusMetricReader()])
    Telemetry(Monitored(), meter_provider=provider, sample=1)(ACCEPTED)
    text = generate_latest(REGISTRY).decode()
    provider.shutdown()
    names = re.findall(r"^\| `dpop\.[^|]+\|[^|]+\| `(\w+)`", PAGE, re.MULTILINE)
    assert len(names) == 9
    assert [name for name in names if not re.search(rf"^{name}(_count)?\{{", text, re.MULTILINE)] == []
    (decisions,) = re.findall(r"^dpop_decisions_total\{(.*)\} 1\.0$", text, re.MULTILINE)
    assert {'dpop_outcome="accepted"', 'dpop_reason="none"', 'dpop_scheme="DPoP"'} < set(decisions.split(","))


@pytest.fixture(scope="module")
def promtool():
    """Debian's, found by `python3 -m tests`."""
    found = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool: run the tests by `python3 -m tests`, which installs one")
    return found


def _series(labels, increase, name="dpop_decisions_total"):
    return f"  - series: '{name}{{{labels}}}'\n    values: '0+{increase}x60'\n"


WELL = (
    _series('dpop_outcome="accepted",dpop_reason="none",dpop_scheme="DPoP"', 6000)
    + _series('dpop_outcome="refused",dpop_reason="nonce_unknown",dpop_scheme="DPoP"', 6)
    + _series('dpop_outcome="refused",dpop_reason="issued_too_early",dpop_scheme="DPoP"', 6)
    + _series('le="1"', 5900, "dpop_clock_offset_seconds_bucket")
    + _series('le="30"', 6000, "dpop_clock_offset_seconds_bucket")
    + _series('le="+Inf"', 6000, "dpop_clock_offset_seconds_bucket")
    + "  - series: 'dpop_store_available'\n    values: '1x60'\n"
)
ALERTS = {
    "none": ("", None),
    "nonces": (_series('dpop_outcome="refused",dpop_reason="nonce_unknown",pod="2"', 600), "DPoPNonceStorm"),
    "store-503": (_series('dpop_outcome="unavailable",dpop_reason="store"', 6), "DPoPStoreUnavailable"),
    "store-gauge": ("  - series: 'dpop_store_available{pod=\"2\"}'\n    values: '0x60'\n", "DPoPStoreUnavailable"),
    "clock-refused": (_series('dpop_outcome="refused",dpop_reason="issued_in_future"', 300), "DPoPClockOffset"),
    "clock-accepted": (
        _series('le="30",pod="2"', 90000, "dpop_clock_offset_seconds_bucket")
        + _series('le="+Inf",pod="2"', 90000, "dpop_clock_offset_seconds_bucket"),
        "DPoPClockOffset",
    ),
    "replays": (_series('dpop_outcome="refused",dpop_reason="proof_replayed"', 5), "DPoPReplays"),
    "bearer": (_series('dpop_outcome="accepted",dpop_reason="none",dpop_scheme="Bearer"', 1), "DPoPBearerStillUsed"),
}


@pytest.mark.parametrize(("series", "fires"), ALERTS.values(), ids=ALERTS)
def test_each_alert_fires_when_it_should_and_no_other_does(promtool, tmp_path, series, fires):
    rules = re.search(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
    (tmp_path / "rules.yml").write_text(rules)
    test = "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n"
    test += WELL + series + "  alert_rule_test:\n"
    for alert in re.findall(r"alert: (\w+)", rules):
        expected = "[{exp_labels: {}}]" if alert == fires else "[]"
        test += f"  - {{eval_time: 45m, alertname: {alert}, exp_alerts: {expected}}}\n"
    (tmp_path / "test.yml").write_text(test)
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
