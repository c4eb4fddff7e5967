"""The IO manager: seals the result of an asset as a run folder, and loads only verified folders."""

from dagster import ConfigurableIOManager, InputContext, OutputContext, ResourceDependency

from registry_pipeline.config import Repository
from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.resources import RepositoryResource, as_dagster_failure
from registry_pipeline.errors import EvidenceError
from registry_pipeline.pipeline import steps
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline.registries.base.sealed_input import read_active_run, read_sealed_report
from registry_pipeline.registries.catalog import spec_of
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.sealed_run import Built, NotBuilt, SealedRun, SealReport


def find_producing_run(upstream: OutputContext) -> str | None:
    """Return the id of the Dagster run that made an upstream: this run or one that it re-executes, else None."""
    # For an upstream outside of the execution, Dagster 1.13.27 makes up an output context with the step key `none`
    # and a placeholder for the run id. There is no other difference; a test pins this.
    return None if upstream.step_key == "none" else upstream.run_id


class SealedIOManager(ConfigurableIOManager):
    """Seals what an asset builds, and loads upstreams as verified sealed runs."""

    repository: ResourceDependency[RepositoryResource]

    def handle_output(self, context: OutputContext, obj: Built | NotBuilt) -> None:
        """Seal a build as the run folder of this Dagster run, and add its metadata to the asset's page.

        An unchanged capture makes no folder, and neither does a registry that could not be built: their page names
        the active run.
        """
        with as_dagster_failure():
            repository = self.repository.load()
            if isinstance(obj, NotBuilt):
                context.add_output_metadata(_make_not_built_metadata(repository, obj))
                return
            spec = spec_of(obj.registry_id)
            active = _read_active_report(repository, spec)
            unchanged = steps.find_unchanged_run(repository, obj)
            sealed = unchanged or steps.seal(repository, self.repository.build_run(context.run_id), spec, obj)
            content = {"state": "unchanged" if unchanged else "sealed"} | metadata.make_content_metadata(
                spec, obj, active
            )
            context.add_output_metadata(metadata.make_sealed_metadata(repository, sealed, content))

    def load_input(self, context: InputContext) -> SealedRun | None:
        """Return an upstream as a sealed run, verified now, or None if it has none.

        Of an upstream in this execution it is the folder of its materialization, else the active run, never the newest.
        A folder that does not verify fails the step.
        """
        upstream = context.upstream_output
        with as_dagster_failure():
            repository = self.repository.load()
            registry_id = context.asset_key.to_user_string()
            dagster_run_id = None if upstream is None else find_producing_run(upstream)
            if dagster_run_id is None:
                return read_active_run(repository, spec_of(registry_id))
            materialization = event_log.read_last_materialization(self.repository.instance, registry_id, dagster_run_id)
            if materialization is None:
                raise EvidenceError(
                    f"{registry_id}: the Dagster run {dagster_run_id} reports no sealed folder", "launch the run again"
                )
            sealed = materialization.sealed
            if sealed is not None:
                read_sealed_report(repository, spec_of(sealed.registry_id), sealed.ref)  # raises if it does not verify
            return sealed


def _make_not_built_metadata(repository: Repository, not_built: NotBuilt) -> metadata.Metadata:
    try:
        active = read_active_run(repository, spec_of(not_built.registry_id))
    except EvidenceError:
        active = None
    page = {"state": "not built"} | metadata.make_findings_metadata(not_built.findings)
    return {"run_id": "none"} | page if active is None else metadata.make_sealed_metadata(repository, active, page)


def _read_active_report(repository: Repository, spec: RegistrySpec) -> SealReport | None:
    ref = pointer_file.read_pointers(repository).active(spec.registry_id)
    try:
        return None if ref is None else read_sealed_report(repository, spec, ref)
    except EvidenceError:
        return None
