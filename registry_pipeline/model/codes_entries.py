"""The codes of the registry entries (SPEC 10): the rule table, of which `registry_coordination.md` is made."""

from __future__ import annotations

from typing import Final

from registry_pipeline.model.finding import Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

ROWS: Final[tuple[tuple[str, Severity, str, str, str], ...]] = (
    ("EN001", _E, "entries 10 shape", "{detail}", "mend it by the schema {schema}"),
    ("EN002", _E, "entries 10 key", "{detail}", "{advice}"),
    ("EN003", _W, "entries 10 schema", "this schema cannot judge: {detail}", "mend it, or remove it and run `registry-pipeline init --entries`"),
    ("EN010", _E, "entries 10 instance", "the module_type {name} is not registered{meant}", "mend the name, or `registry-pipeline entries add --type module_type` first"),
    ("EN011", _E, "entries 10 instance", "the parent_module {detail}", "name another parent, or none"),
    ("EN012", _E, "entries 10 instance", "the dependency {detail}", "mend the name, or add the edge to inbound and outbound of the two module types"),
    ("EN013", _W, "entries 10 type graph", "the edge {edge} is declared on one side only", "declare it as outbound of the one and as inbound of the other"),
    ("EN014", _E, "entries 10 instance", "the module instance {name} is not registered{meant}", "mend the name, or `registry-pipeline entries add --type module_instance` first"),
    ("EN015", _E, "entries 10 approval", "the lifecycle {name} is not approved", "`registry-pipeline entries add --update --approved-by NAME` records who approved it"),
    ("EN020", _E, "entries 10 route", "the scope and topic {name} are those of {other} too, and no priority says which comes first", "give each of them a priority of its own, or another topic"),
    ("EN021", _E, "entries 10 route", "the related document {detail}", "name a file of this repository by its path from the root"),
    ("EN022", _W, "entries 10 route", "the owner {detail}", "mend module_id, or move the file"),
    ("EN023", _E, "entries 10 route", "the stage {name} is not configured{meant}", "use a stage of `[entries] stages` in registry-pipeline.toml"),
    ("EN030", _E, "entries 10 ability", "the module {name} in its scope is not registered{meant}", "mend the name, or `registry-pipeline entries add --type module_instance` first"),
    ("EN031", _E, "entries 10 ability", "the ability {name} that it calls is not registered{meant}", "mend the name, or add that ability first, or both in one call"),
    ("EN032", _I, "entries 10 ability", "{detail}", "mention it in a route of the module, if people or agents shall find it"),
    ("EN033", _W, "entries 10 ability", "the hook {detail}", "bind a hook that is registered for this event"),
    ("EN040", _W, "entries 10 hook", "the ability_scope {name} matches no ability", "mend the pattern, or add the ability"),
    ("EN041", _E, "entries 10 hook", "the ability {name} in its ability_scope is not registered{meant}", "mend the name, or add that ability first"),
    ("EN042", _E, "entries 10 hook", "the {field} {name} is not legal{meant}", "use one of those that are expected"),
    ("EN043", _W, "entries 10 hook", "{field} has no effect on {event}", "take it out, or choose an event before the ability is called"),
    ("EN050", _W, "entries 10 file", "the file's name is not that of its entry", "rename it; nothing else names the file"),
    ("EN060", _E, "entries 10 removal", "{name} is still referred to by {referrer}", "remove or change what refers to it first, or in the same call"),
    ("EN070", _W, "entries 10 documents", "the document is not the one that the rules of this version make", "`registry-pipeline init --entries` writes it anew; move a file of your own away first"),
    ("EN090", _W, "entries 10 override", "an override by --no-check stands: {detail}", "mend what it names and write the entry again without --no-check"),
)  # fmt: skip
"""(code, severity, clause, message, hint) of each."""

WHEN: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("EN001", "any entry changes", "its shape against its schema; its file is YAML 1.2", "write failure"),
    ("EN002", "any entry changes", "its key is unique, and its file is that of its type", "write failure"),
    ("EN003", "a schema of the repository changes", "it is a JSON Schema that can judge; else the shipped one does", "warning; failure for a type of the repository's own"),
    ("EN010", "a module instance or its maturity changes", "its module_type is registered", "failure"),
    ("EN011", "a module instance changes", "its parent_module is registered, and no cycle comes of it", "failure"),
    ("EN012", "a module instance or the type graph changes", "each dependency is registered, and the type graph has an edge from type to type", "failure"),
    ("EN013", "a module type changes", "each edge is outbound of the one type and inbound of the other", "warning"),
    ("EN014", "a maturity or an interface changes", "its module instance is registered", "failure"),
    ("EN015", "an interface changes", "RELEASED, SUNSET and REMOVED were approved by somebody", "failure"),
    ("EN020", "a route changes", "no other has the same scope and topic, unless priorities tell them apart", "failure"),
    ("EN021", "a route changes", "its related documents are files of the repository", "failure"),
    ("EN022", "a route or a module instance changes", "the owner is registered, and the file does not lie under another module", "warning"),
    ("EN023", "a route changes", "its stages are configured", "failure"),
    ("EN030", "an ability changes", "the modules of its scope are registered", "failure"),
    ("EN031", "an ability of the high level changes", "the abilities that it calls are registered", "failure"),
    ("EN032", "an ability changes", "the routes of its modules lead to it", "recorded only"),
    ("EN033", "an ability or a hook changes", "the hooks that it binds are registered (warning), and for that event (failure)", "warning or failure"),
    ("EN040", "a hook or an ability changes", "each pattern of its ability_scope matches an ability", "warning"),
    ("EN041", "a hook or an ability changes", "each ability that its ability_scope names is registered", "failure"),
    ("EN042", "a hook changes", "its event_type and its stage are legal", "failure"),
    ("EN043", "a hook changes", "nothing is blocking or speaks to an agent after the ability was called", "warning"),
    ("EN050", "a route or a hook changes", "its file has the name that its key makes", "warning"),
    ("EN060", "an entry is removed", "nothing refers to it", "failure, with the referrers"),
    ("EN070", "the tables of this version change", "AGENTS.md and registry_coordination.md are the ones that they make", "warning"),
    ("EN090", "any check runs", "no override stands", "warning"),
)  # fmt: skip
"""(code, when this changes, check that, what a violation does) of each rule."""
