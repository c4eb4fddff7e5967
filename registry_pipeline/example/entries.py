"""The registries of the example team: what its modules are, which documents to read, what agents may call.

Samples of all eight types that agree with each other.
"""

from __future__ import annotations

from typing import Final

HANDBOOK_PATH: Final = "docs/GAUGES.md"
SERIES_PATH: Final = "docs/SERIES.md"
_TYPES: Final = """\
# Kinds of modules. An edge stands in outbound of the one and in inbound of the other.
types:
  - id: ingest
    description: Takes in what a device or a neighbour sends.
    status: active
    inbound: [series]
  - id: publication
    description: Hands results to people.
    status: active
    outbound: [series]
  - id: series
    description: Derives one series from others.
    status: active
    inbound: [publication]
    outbound: [ingest]
"""
_INSTANCES: Final = """\
instances:
  # Five gauges, one module: they differ in their datum alone.
  - module_id: gauge_ingest
    name: Gauge ingest
    description: Reads what the gauges sent.
    module_type: ingest
    module_level: 1
    owners:
      - team: Gauges
        slack: "#gauges"
    dependencies:
      external_services: [harbour mail]
    status: active
  - module_id: hourly_heights
    name: Hourly heights
    description: Reduces readings to hourly heights.
    module_type: series
    module_level: 1
    owners:
      - team: Series
    dependencies:
      modules: [gauge_ingest]
    status: active
  - module_id: public_feed
    name: Public feed
    description: Publishes heights for everybody.
    module_type: publication
    module_level: 1
    owners:
      - team: Publication
    dependencies:
      modules: [hourly_heights]
    status: active
"""
_MATURITY: Final = """\
instances:
  - module_id: gauge_ingest
    description: Four years of nights without a gap.
    module_type: ingest
    maturity: QA_VERIFIED
    capabilities: {interfaces_implemented: 1, docs_quality: good}
    tests: {unit: 0.9, contract: true, integration: 0.5, e2e: false}
  - module_id: public_feed
    description: Heights in millimetres since February.
    module_type: publication
    maturity: IMPLEMENTED
"""
_INTERFACES: Final = """\
interfaces:
  - id: heights_by_station
    description: The heights of one station and day.
    module_id: public_feed
    path: /heights/{station}
    method: GET
    lifecycle: QA_VERIFIED
    contracts: [docs/SERIES.md]
"""
_ROUTE: Final = """\
scope: series
topic: heights
description: Where heights come from and what may be wrong with them.
module_id: hourly_heights
routes:
  - when_to_use: Before a job that derives heights is changed
    related_docs:
      - path: docs/SERIES.md
        stage: [understand, plan]
        doc_usage: What a height is; heights.read returns it.
  - when_to_use: When a height looks wrong
    related_docs:
      - path: docs/GAUGES.md
        stage: [understand]
        doc_usage: What the gauges are known to send.
"""
_LOW: Final = """\
abilities:
  - ability_id: heights.read
    version: 1
    description: Reads the hourly heights of one station.
    kind: script
    scope:
      modules: [hourly_heights]
      environments: [night, session]
    hooks:
      pre_call: [heights_guard]
    status: active
"""
_HIGH: Final = """\
abilities:
  - ability_id: heights.explain
    version: 1
    description: Explains why a height looks wrong.
    type: agent
    ability_ids: [heights.read]
    status: active
"""
_HOOK: Final = """\
id: heights_guard
description: Refuses stations that are not in the directory.
event_type: PreAbilityCall
stage: act
enabled: true
blocking: true
match:
  ability_scope: ["heights.*"]
handler:
  kind: script
  command: python jobs/station_sync.py --check
"""
_HANDBOOK: Final = """\
# Gauges

Five gauges send a reading every six minutes. A reading without a time is left out; a gap of two hours is reported.
"""
_SERIES: Final = """\
# Series

A height is the mean of an hour's readings above chart datum, in millimetres. Spikes are marked, never removed.
"""


def entry_files() -> dict[str, str]:
    """Return the registries and the documents that their routes name, by path."""
    return {
        "modules/overview/type_registry.yaml": _TYPES,
        "modules/overview/instance_registry.yaml": _INSTANCES,
        "modules/overview/instance_maturity.yaml": _MATURITY,
        "modules/overview/interfaces.yaml": _INTERFACES,
        "modules/routes/series.heights.yaml": _ROUTE,
        ".system/registry/low-level/heights.yaml": _LOW,
        ".system/registry/high-level/heights.yaml": _HIGH,
        ".system/hooks/heights_guard.yaml": _HOOK,
        HANDBOOK_PATH: _HANDBOOK,
        SERIES_PATH: _SERIES,
    }
