"""The asset graph as a JSON value, for the case of `cases/defs`."""

from __future__ import annotations

from typing import Any

from dagster import AssetSpec, Definitions, SensorDefinition


def picture(definitions: Definitions) -> dict[str, Any]:
    """Return everything of the graph that is meant: keys, dependencies, words, checks, jobs, switches."""
    repository = definitions.get_repository_def()
    specs = sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key)
    return {
        "assets": {spec.key.to_user_string(): _asset(spec) for spec in specs},
        "checks": sorted(
            f"{key.asset_key.to_user_string()}:{key.name}{' (blocking)' if _blocking(definitions, key) else ''}"
            for key in repository.asset_graph.asset_check_keys
        ),
        "jobs": {
            name: sorted(
                key.to_user_string() for key in definitions.resolve_job_def(name).asset_layer.executable_asset_keys
            )
            for name in sorted(repository.job_names)
            if not name.startswith("__")
        },
        "schedules": {
            s.name: [s.cron_schedule, s.execution_timezone, s.job_name, s.default_status.value]
            for s in repository.schedule_defs
        },
        "sensors": {
            s.name: [[t.job_name for t in s.targets], s.default_status.value, s.minimum_interval_seconds]
            for s in repository.sensor_defs
        },
        "resources": sorted(name for name in repository.get_top_level_resources()),
    }


def _asset(spec: AssetSpec) -> dict[str, Any]:
    return {
        "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "owners": list(spec.owners),
        "description": spec.description,
        "has_code_version": spec.code_version is not None,
    }


def _blocking(definitions: Definitions, key: Any) -> bool:
    return bool(definitions.get_repository_def().asset_graph.get_check_spec(key).blocking)


def _job(sensor: SensorDefinition) -> str | None:
    # The sensors that react to runs launch nothing.
    return sensor.job_name if sensor.targets else None
