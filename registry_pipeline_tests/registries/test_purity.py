"""Builders and renderers open no file, socket, process or database: an audit hook watches them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from registry_pipeline_tests.registries import builder_values
from registry_pipeline_tests.registries.health_values import facts, health_inputs
from registry_pipeline.registries.captured.build import build_captured
from registry_pipeline.registries.delta_log.build import DeltaLogInputs, build_delta_log
from registry_pipeline.registries.drift_signals.build import build_drift_signals
from registry_pipeline.registries.drift_signals_daily.build import DailyInputs, build_drift_signals_daily
from registry_pipeline.registries.op_status_table.build import build_op_status_table
from registry_pipeline.registries.run_registry.build import RunRegistryInputs, build_run_registry, make_run_line
from registry_pipeline.registries.base.delta import Snapshot
from registry_pipeline.registries.base.values import CapturedInputs
from registry_pipeline.runs.manifest import ManifestEntry
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.registries.system_health.build import find_health_state, render_health_report
from registry_pipeline.stale_limits import StaleLimits

SNAPSHOT = Snapshot("x", SealedRef("r", "runs", None, "0" * 64), (ManifestEntry("a", 1, "1" * 64),))
events = []
work = [
    lambda: build_run_registry(
        RunRegistryInputs((make_run_line(builder_values.scanned(envelope={"option": 1})),)), builder_values.CONTEXT
    ),
    lambda: build_op_status_table(builder_values.status_inputs(builder_values.row()), builder_values.CONTEXT),
    lambda: build_drift_signals(builder_values.drift_inputs(), builder_values.CONTEXT),
    lambda: build_drift_signals_daily(
        DailyInputs(builder_values.status_inputs(builder_values.row()), builder_values.drift_inputs(), StaleLimits()),
        builder_values.CONTEXT,
    ),
    lambda: build_captured(CapturedInputs({"a": b"b"}), builder_values.CONTEXT),
    lambda: build_delta_log(DeltaLogInputs(b"", {}, (SNAPSHOT,)), builder_values.CONTEXT).sealed_as("r"),
    lambda: render_health_report(health_inputs(), builder_values.CONTEXT),
    lambda: find_health_state(facts()),
]
sys.addaudithook(lambda event, arguments: events.append(event))
%s
for step in work:
    step()
heard, events = events, []
import json
print(json.dumps(heard))
"""
TOUCHES_THE_WORLD = ("open", "os.", "socket.", "subprocess.", "shutil.", "sqlite3.", "urllib.", "import", "time.")


def heard(extra: str = "") -> list[str]:
    """Return the audit events of a fresh interpreter that builds and renders everything once."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % extra],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        text=True,
    )
    events: list[str] = json.loads(done.stdout)
    return [event for event in events if event.startswith(TOUCHES_THE_WORLD)]


def test_builders_and_renderers_touch_nothing_but_their_arguments() -> None:
    assert heard() == []


def test_the_hook_hears_what_it_is_meant_to_hear() -> None:
    assert heard("open('/dev/null').close()") == ["open"]


def test_they_need_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; import registry_pipeline.registries.run_registry.build, "
        "registry_pipeline.registries.op_status_table.build, "
        "registry_pipeline.registries.drift_signals_daily.build, registry_pipeline.registries.captured.build, "
        "registry_pipeline.registries.delta_log.build, "
        "registry_pipeline.registries.system_health.build, registry_pipeline.registries.system_health.build; "
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)

    loaded = {name for name in done.stdout.split() if not name.startswith("_")}
    third_party = loaded - set(sys.stdlib_module_names) - {"registry_pipeline", "sitecustomize", "usercustomize"}
    assert third_party == set()
