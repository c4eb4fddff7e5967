"""The sealed IO manager: what an asset returns becomes a sealed run folder, and only a verified one is handed on.

Holds the way from Dagster's outputs and inputs to run folders. Keeps out how a folder is sealed (`runbook`). May
import `runbook`, the other files of this room and Dagster. Not an `UPathIOManager`, which rewrites one path in place.
"""

from typing import Final

from dagster import ConfigurableIOManager, InputContext, OutputContext, ResourceDependency

from registry_pipeline.config import Repository
from registry_pipeline.defs import event_log, metadata
from registry_pipeline.defs.resources import GovernedRepository, as_dagster_failure
from registry_pipeline.errors import EvidenceError
from registry_pipeline.pipeline import steps
from registry_pipeline.registries import validation as registries_validation
from registry_pipeline.registries.base.sealed_input import active_run, read_sealed
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.registries.validation import spec_of
from registry_pipeline.runs import pointer_file
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.runs.sealed_run import Built, NotBuilt, SealedRun, SealReport

_OUTSIDE_THE_RUN: Final = "none"


def producing_run(upstream: OutputContext) -> str | None:
    """Return the Dagster run that made an upstream of this execution: this run, or the one that it re-executes.

    None for an upstream outside of the execution, for which Dagster makes up an output context with the step key
    `none` and a placeholder for the run. Tried on 1.13.27, and pinned by a test: nothing else here tells them apart.
    """
    return None if upstream.step_key == _OUTSIDE_THE_RUN else upstream.run_id


class SealedIOManager(ConfigurableIOManager):
    """Seals what is built, and hands on what is sealed, verified on read."""

    governed: ResourceDependency[GovernedRepository]

    def handle_output(self, context: OutputContext, obj: Built | NotBuilt) -> None:
        """Seal a build as the run folder of this Dagster run, and tell of it on the asset's page.

        An unchanged capture makes no folder: its page names the active one. Where nothing could be built it names the
        active one too, if there is any, beside the findings that say why.

        Raises:
            Failure: nothing could be published.
        """
        with as_dagster_failure():
            governed = self.governed.governed()
            spec = registries_validation.spec_of(obj.registry_id)
            if isinstance(obj, NotBuilt):
                context.add_output_metadata(_not_built_page(governed, obj))
                return
            active = _active_report(governed, spec)
            sealed = steps.unchanged(governed, obj)
            made = sealed or steps.seal(governed, self.governed.build_run(context.run_id), spec, obj)
            content = {"state": "unchanged" if sealed else "sealed"} | metadata.content_metadata(spec, obj, active)
            context.add_output_metadata(metadata.sealed_metadata(governed, made, content))

    def load_input(self, context: InputContext) -> SealedRun | None:
        """Return an upstream as a sealed run, verified now; None where it has none.

        Built in this execution, it is the folder that its materialization names. Outside of it, it is the active run:
        never the newest.

        Raises:
            Failure: the folder does not verify.
        """
        upstream = context.upstream_output
        with as_dagster_failure():
            governed = self.governed.governed()
            registry_id = context.asset_key.to_user_string()
            dagster_run_id = None if upstream is None else producing_run(upstream)
            if dagster_run_id is None:
                return active_run(governed, spec_of(registry_id))
            made = event_log.materialized_in(self.governed.instance, registry_id, dagster_run_id)
            if made is None:
                raise EvidenceError(
                    f"{registry_id}: the Dagster run {dagster_run_id} tells of no folder that it sealed",
                    "launch the run again",
                )
            return None if made.sealed is None else _verified(governed, made.sealed)


def _verified(governed: Repository, sealed: SealedRun) -> SealedRun:
    read_sealed(governed, spec_of(sealed.registry_id), sealed.ref)
    return sealed


def _not_built_page(governed: Repository, obj: NotBuilt) -> metadata.Metadata:
    try:
        active = active_run(governed, spec_of(obj.registry_id))
    except EvidenceError:
        active = None
    page = {"state": "not built"} | metadata.findings_metadata(obj.findings)
    return {"run_id": "none"} | page if active is None else metadata.sealed_metadata(governed, active, page)


def _active_report(governed: Repository, spec: RegistrySpec) -> SealReport | None:
    ref: SealedRef | None = pointer_file.read_pointers(governed).active(spec.registry_id)
    if ref is None:
        return None
    try:
        return read_sealed(governed, spec, ref)
    except EvidenceError:
        return None
