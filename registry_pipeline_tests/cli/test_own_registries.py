"""A repository's own registries work like the shipped ones, from the toml to a healthy status, a diff, a rollback."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from registry_pipeline_tests.cli.conftest import PlainRepository, Repository
from registry_pipeline_tests.cli.test_completion import complete
from registry_pipeline_tests.cli.test_six_commands import make_dated
from registry_pipeline_tests.own_registries import (
    EXAMPLE,
    PRICES,
    PRICES_SCHEMA,
    TABLES,
    configure,
    installed_package,
    make_price_schema,
    write_own_sources,
    write_prices,
)
from registry_pipeline_tests.pipeline.test_up_to_date import SETTLED_AFTER

LATER: Final = "2026-03-02T12:00:00Z"
LAST: Final = "2026-03-03T12:00:00Z"
NAMES: Final = ("my_prices", "price_sheets")


@pytest.fixture
def empty(tmp_path: Path, home: Path) -> Repository:
    """A plain folder with run folders, `init`, and the sources of two own registries that no toml names yet."""
    root = tmp_path / "shop"
    make_dated(root)
    repository = PlainRepository(root, home)
    assert repository("init").code == 0
    write_own_sources(root)
    return repository


@pytest.fixture
def shop(empty: Repository) -> Repository:
    """The same with both registries in the toml, built and active."""
    configure(empty.root, TABLES)
    build = empty("build")
    assert build.code == 0, build.err
    return empty


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """The example package, installed."""
    with installed_package(tmp_path / "installed") as target:
        yield target


def status(repository: Repository, now: str = LATER) -> dict[str, Any]:
    document: dict[str, Any] = repository("status", "--json", now=now).document("status")
    return document


def row_of(repository: Repository, registry_id: str) -> dict[str, Any]:
    return next(row for row in status(repository)["registries"] if row["registry_id"] == registry_id)


def findings(repository: Repository, *words: str, now: str = LATER) -> list[tuple[str, str]]:
    document = json.loads(repository(*words, "--json", now=now).out)
    return [(f["code"], f["message"]) for f in document["findings"]]


def test_both_registries_are_built_sealed_checked_and_active_and_the_repository_is_healthy(shop: Repository) -> None:
    document = status(shop)

    assert document["health_state"] == "HEALTHY", document["health_conditions"]
    for name in NAMES:
        row = row_of(shop, name)
        assert (row["kind"], row["seal"], row["schema"]) == ("captured", "pass", "pass")
    run = shop.runs / shop.active("my_prices")
    assert (run / "prices.json").read_bytes() == (shop.root / PRICES).read_bytes()
    assert (run / "prices.schema.json").read_bytes() == make_price_schema()
    sheets = shop.runs / shop.active("price_sheets")
    assert {"north.csv", "south.csv", "north.schema.json"} <= {path.name for path in sheets.iterdir()}
    inputs = json.loads((sheets / "run.json").read_bytes())["inputs"]
    upstream = {i["registry_id"]: i["sealed_ref"]["run_id"] for i in inputs["registries"] if i["role"] == "upstream"}
    assert upstream == {"my_prices": shop.active("my_prices")}
    assert {file["path"] for file in inputs["files"]} == {
        "data/sheets/north.csv",
        "data/sheets/south.csv",
        "schemas/sheet.schema.json",
    }


def test_every_command_that_lists_registries_lists_them(shop: Repository) -> None:
    listed = [row["registry_id"] for row in json.loads(shop("registries", "--json").out)["registries"]]
    explained = shop("explain", "my_prices").out
    logged = {entry["registry_id"] for entry in json.loads(shop("log", "--json").out)["records"]}
    scorecard = shop.runs / shop.active("governance_scorecard") / "GOVERNANCE_SCORECARD_v0_2.json"
    (delta_run,) = shop.runs.glob("*registry_delta_log*")
    edges = [json.loads(line) for line in (delta_run / "REGISTRY_DELTA_LOG_v0_1.jsonl").read_text().splitlines()]

    assert listed.index("my_prices") < listed.index("price_sheets") < listed.index("governance_scorecard")
    assert "What the shop charges." in explained
    assert set(NAMES) <= logged
    assert all(f'"{name}"' in scorecard.read_text(encoding="utf-8") for name in NAMES)
    assert set(NAMES) <= {edge["registry_id"] for edge in edges}
    assert [run["run_id"] for run in json.loads(shop("log", "my_prices", "--json").out)["records"]]


def test_a_shell_completes_their_names(shop: Repository) -> None:
    assert complete(shop, "build", "my") == ["my_prices"]


def test_without_a_change_nothing_is_sealed(shop: Repository) -> None:
    # The first builds list the folders of those before them.
    *_, build = [shop("build", now=f"2026-03-01T{hour}:00:00Z") for hour in range(13, 13 + SETTLED_AFTER)]

    assert "up to date: nothing has changed, so nothing was sealed" in build.out


def test_a_change_is_a_new_run_with_a_diff_by_record_key_and_a_rollback_undoes_it(shop: Repository) -> None:
    first = shop.active("my_prices")
    write_prices(shop.root, apple=150, pear=200)

    assert shop("build", "my_prices", now=LATER).code == 0
    assert shop.active("my_prices") != first
    (artifact,) = json.loads(shop("diff", "--registry", "my_prices", "active", "--json", now=LATER).out)["artifacts"]
    assert artifact["key"] == ["sku"]
    (changed,) = artifact["changed"]
    assert changed["key"] == {"sku": "apple"}
    assert shop("rollback", "--reason", "a typo", now=LAST).code == 0
    assert shop.active("my_prices") == first
    assert status(shop, LAST)["health_state"] == "HEALTHY"


def test_the_order_of_the_tables_changes_no_byte(empty: Repository, tmp_path: Path) -> None:
    other = PlainRepository(tmp_path / "other" / "shop", empty.home)
    shutil.copytree(empty.root, other.root)
    first, _, second = TABLES.partition("[registries.price_sheets]")
    configure(empty.root, TABLES)
    configure(other.root, f"[registries.price_sheets]{second}\n{first}")

    assert empty("build").code == other("build").code == 0

    left, right = (
        {path: data for path, data in one.files().items() if ".codex/RUNS" in path} for one in (empty, other)
    )
    assert left == right
    assert any("seal_price_sheets" in path for path in left)


def test_a_build_of_one_also_builds_what_depends_on_it(shop: Repository) -> None:
    write_prices(shop.root, apple=1)

    document = json.loads(shop("build", "my_prices", "--json", now=LATER).out)

    assert [row["registry_id"] for row in document["built"]][:2] == list(NAMES)


def test_many_files_are_compared_by_record_key_too(shop: Repository) -> None:
    (shop.root / "data/sheets/north.csv").write_text("sku,cents\napple,90\n", encoding="utf-8")

    assert shop("build", "price_sheets", now=LATER).code == 0
    (artifact,) = json.loads(shop("diff", "--registry", "price_sheets", "active", "--json", now=LATER).out)["artifacts"]

    assert artifact["relpath"] == "north.csv"
    assert artifact["key"] == ["sku"]


@pytest.mark.parametrize(
    ("path", "content", "code", "text"),
    [
        (PRICES, b'[{"sku": "apple"}]', "CAPTURE_MALFORMED", "cents"),
        (PRICES, b"[", "CAPTURE_MALFORMED", "the source is malformed"),
        (PRICES, None, "CAPTURE_MISSING", "No such file"),
        ("data/sheets/more/North.csv", b"sku,cents\nx,1\n", None, ""),
        ("data/sheets/NORTH.csv", b"sku,cents\nx,1\n", "CAPTURE_MALFORMED", "two files have the name"),
        (PRICES_SCHEMA, b'{"type": "no type"}', "CAPTURE_SCHEMA_UNUSABLE", "[registries.my_prices]"),
    ],
)
def test_a_source_that_cannot_be_captured_leaves_the_active_run(
    shop: Repository, path: str, content: bytes | None, code: str | None, text: str
) -> None:
    active = {name: shop.active(name) for name in NAMES}
    file = shop.root / path
    file.parent.mkdir(exist_ok=True)
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)

    shop("build", *NAMES, "--only", now=LATER)

    assert {name: shop.active(name) for name in NAMES} == active
    found = [message for found_code, message in findings(shop, "status") if found_code == code]
    assert (code is None) == (not found)
    assert all(text in message for message in found)


def test_a_glob_leaves_out_links_and_never_leaves_the_repository(shop: Repository, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("sku,cents\nx,1\n", encoding="utf-8")
    (shop.root / "data/sheets/linked.csv").symlink_to(outside)
    before = shop.active("price_sheets")

    shop("build", now=LATER)

    assert ("CAPTURE_LEFT_OUT", "not captured: a link") in findings(shop, "status")
    assert shop.active("price_sheets") == before or "linked.csv" not in (
        path.name for path in (shop.runs / shop.active("price_sheets")).iterdir()
    )


def test_a_glob_over_everything_does_not_capture_sealed_runs(shop: Repository) -> None:
    configure(shop.root, '[registries.all_sheets]\nsources = ["**/*.csv"]\nschema = "schemas/sheet.schema.json"\n')

    assert shop("build", now=LATER).code == 0

    run = shop.runs / shop.active("all_sheets")
    assert {path.name for path in run.glob("*.csv")} == {"north.csv", "south.csv"}


def test_a_folder_of_a_glob_that_cannot_be_listed_refuses_the_capture(
    shop: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(shop.root, '[registries.all_sheets]\nsources = ["data/**"]\nschema = "schemas/sheet.schema.json"\n')
    scandir = os.scandir

    def refuse(path: Any = ".") -> Any:
        if str(path).endswith("data/sheets"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    found = findings(shop, "status")

    assert ("CAPTURE_MISSING", "the source cannot be read: data/sheets: Permission denied") in found


def test_a_changed_schema_is_sealed_again_and_decides_about_the_active_run(shop: Repository) -> None:
    first = shop.active("my_prices")
    (shop.root / PRICES_SCHEMA).write_bytes(make_price_schema(least=50))

    assert shop("build", now=LATER).code == 0
    assert shop.active("my_prices") != first
    (shop.root / PRICES_SCHEMA).write_bytes(make_price_schema(least=150))
    assert row_of(shop, "my_prices")["schema"] == "fail"
    assert shop("verify", first, now=LATER).code == 3
    assert shop("verify", "--only=seal", first, now=LATER).code == 0


def test_a_tampered_run_is_found(shop: Repository) -> None:
    shop.tamper(shop.active("my_prices"), "prices.json")

    assert row_of(shop, "my_prices")["seal"] == "fail"
    assert shop("verify", shop.active("my_prices"), now=LATER).code == 3


def test_outside_of_the_repository_the_schema_is_not_checked_and_this_is_said(shop: Repository, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / shop.active("my_prices")
    shutil.copytree(shop.runs / copy.name, copy)
    elsewhere = PlainRepository(tmp_path / "elsewhere", shop.home)

    whole, seal = elsewhere("verify", f"./{copy.name}"), elsewhere("verify", "--only=seal", f"./{copy.name}")

    assert (whole.code, seal.code) == (3, 0)
    assert "SCHEMA_UNKNOWN" in whole.out
    assert "in the repository whose registry-pipeline.toml describes it" in whole.out


def test_a_registry_that_leaves_the_toml_leaves_its_runs_and_its_pointer(shop: Repository) -> None:
    run = shop.active("price_sheets")
    toml = shop.root / "registry-pipeline.toml"
    toml.write_text(toml.read_text(encoding="utf-8").partition("[registries.price_sheets]")[0], encoding="utf-8")

    assert "POINTER_UNKNOWN_REGISTRY" in {code for code, _ in findings(shop, "status")}
    assert (shop.runs / run).is_dir()
    assert shop("verify", "--only=seal", run, now=LATER).code == 0
    verified = shop("verify", run, now=LATER)
    assert (verified.code, "SCHEMA_UNKNOWN" in verified.out) == (3, True)
    # Its run names runs that are not active any more. Nobody can build it again, so it must not stop the others.
    before = shop.active("my_prices")
    write_prices(shop.root, apple=7)
    assert shop("build", now=LATER).code == 0
    assert shop.active("my_prices") != before
    assert shop.active("price_sheets") == run


def test_one_is_retired_by_a_mark_and_disabled(shop: Repository) -> None:
    assert shop("mark-bad", shop.active("price_sheets"), "--reason", "retired", now=LATER).code == 0
    configure(shop.root, "", first='disabled = ["price_sheets"]')

    assert shop("build", now=LATER).code == 0
    document = status(shop)
    assert document["findings"] == []
    reasons = [condition["reason"] for condition in document["health_conditions"]]
    assert reasons == ["it is not known what is active of price_sheets"]
    assert shop("verify", "--all", now=LATER).code == 0


def test_one_can_be_disabled(shop: Repository) -> None:
    configure(shop.root, "", first='disabled = ["price_sheets"]')

    build = shop("build", "price_sheets", now=LATER)

    assert build.code == 5
    assert "price_sheets is disabled" in build.err


# What is misdeclared


def test_several_misdeclared_registries_are_reported_and_the_others_can_be_looked_at(shop: Repository) -> None:
    schema = f'schema = "{PRICES_SCHEMA}"'
    bad = {
        "run_registry": ('sources = ["a.json"]', schema),
        "threshold_packs": ('sources = ["a.json"]', schema),
        "check_prices": ('sources = ["a.json"]', schema),
        "Prices": ('sources = ["a.json"]', schema),
        "no_sources": ("sources = []", schema),
        "no_schema": ('sources = ["a.json"]', 'schema = "schemas/none.json"'),
        "listed_schema": ('sources = ["a.json"]', f'schema = "{PRICES}"'),
        "taken_artifact": ('sources = ["a.json"]', schema, 'artifact = "OPERATION_STATUS_TABLE_v0_1.json"'),
        "other_suffix": ('sources = ["a.csv"]', schema, 'artifact = "a.json"'),
        "globbed": ('sources = ["a.json"]', schema, 'artifact = "[a].json"'),
        "two_lines": ('sources = ["a.json"]', schema, 'title = "a\\nb"'),
        "envelope": ('sources = ["a.json"]', schema, 'artifact = "run.json"'),
        "unknown": ('sources = ["c.json"]', schema, 'depends_on = ["my_price"]'),
        "log_reader": ('sources = ["d.json"]', schema, 'depends_on = ["registry_delta_log"]'),
        "one": ('sources = ["e.json"]', schema, 'depends_on = ["two"]'),
        "two": ('sources = ["f.json"]', schema, 'depends_on = ["one"]'),
        "after_two": ('sources = ["g.json"]', schema, 'depends_on = ["two"]'),
    }
    configure(shop.root, "".join(f"[registries.{name}]\n" + "\n".join(lines) + "\n" for name, lines in bad.items()))

    found = [message for code, message in findings(shop, "status") if code == "CONFIG_REGISTRY_INVALID"]

    for name in bad:
        assert len([message for message in found if message.startswith(f"[registries.{name}]")]) == 1, (name, found)
    assert any("did you mean my_prices?" in message for message in found)
    assert row_of(shop, "my_prices")["schema"] == "pass"
    assert "[registries.no_sources] describes no registry" in shop("registries").err
    assert {code for code, _ in findings(shop, "doctor")} >= {"CONFIG_REGISTRY_INVALID"}
    assert shop("verify", shop.active("my_prices"), now=LATER).code == 0
    build = shop("build", now=LATER)
    assert (build.code, "describes no registry" in build.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[registries]\nx = 3", "registries.x: Input should be a valid dictionary"),
        ('[registries.x]\nschema = "s.json"', "registries.x.sources: Field required"),
        ('[registries.x]\nsources = ["/etc/passwd"]\nschema = "s.json"', "registries.x.sources.0"),
        ('[registries.x]\nsources = ["../a.json"]\nschema = "s.json"', "registries.x.sources.0"),
        ('[registries.x]\nsources = ["a.json"]\nschema = "s.json"\nkey = ["a"]', "unknown key registries.x.key"),
    ],
)
def test_a_table_of_another_form_is_one_line(empty: Repository, text: str, message: str) -> None:
    configure(empty.root, text)

    result = empty("status", now=LATER)

    assert (result.code, result.out) == (2, "")
    assert message in result.err


# A package


@pytest.mark.usefixtures("package")
def test_a_package_builds_from_an_own_registry(shop: Repository) -> None:
    configure(shop.root, "", first='registry_packages = ["price-bands"]')

    build = shop("build", now=LATER)

    assert build.code == 0, build.err
    run = shop.runs / shop.active("price_bands")
    assert [row["count"] for row in json.loads((run / "PRICE_BANDS.json").read_bytes())] == [1, 1, 0]
    assert (run / "PRICE_BANDS.schema.json").read_bytes() == (
        EXAMPLE / "src/price_bands/price_bands.schema.json"
    ).read_bytes()
    assert status(shop)["health_state"] == "HEALTHY"
    write_prices(shop.root, apple=100, pear=120)
    assert shop("build", "my_prices", now=LAST).code == 0
    (artifact,) = json.loads(shop("diff", "--registry", "price_bands", "active", "--json", now=LAST).out)["artifacts"]
    assert artifact["key"] == ["band"]


@pytest.mark.usefixtures("package")
def test_runs_of_own_registries_are_verified_by_several_processes(shop: Repository, package: Path) -> None:
    configure(shop.root, "", first='registry_packages = ["price-bands"]')
    assert shop("build", now=LATER).code == 0

    verify = shop("verify", "--all", "--jobs", "2", now=LATER, PYTHONPATH=f"{package}{os.pathsep}{EXAMPLE.parents[1]}")

    assert verify.code == 0, verify.out


@pytest.mark.usefixtures("package")
def test_a_package_is_read_only_if_the_toml_names_it(shop: Repository) -> None:
    assert "price_bands" not in shop("registries").out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("SPEC = RegistrySpec(", "SPEC = dict(", "is of the type dict and not a RegistrySpec"),
        ('"""The registry', 'raise SystemExit(3)\n"""The registry', "SystemExit: 3"),
        ("import json\n", "import no_such_module\n", "No module named 'no_such_module'"),
        ('kind="built"', 'kind="rendered"', "its kind is 'rendered'"),
        ('kind="built"', 'kind="built", append_only=True', "it sets `append_only`"),
        ('registry_id="price_bands"', 'registry_id="my_prices"', "another registry is called my_prices"),
        ('"price_bands.schema.json"', '"none.schema.json"', "the schema none.schema.json cannot be read"),
        ("artifacts=(ARTIFACT,)", "artifacts=(ARTIFACT, 'PRICE_BANDS.csv')", "`schemas` names no schema"),
        ("schemas=((ARTIFACT, ", "schemas=((3, ARTIFACT, ", "a value of its SPEC has a wrong type"),
        ("title=", "version=3, title=", "`version` is not a text"),
        ("artifacts=(ARTIFACT,)", "artifacts=()", "`artifacts` is empty"),
        ("reader=read", "reader=None", "`reader` or `builder` is not a function"),
        ('depends_on=("my_prices",)', 'depends_on=("no_prices",)', "names no_prices"),
        ('depends_on=("my_prices",)', 'depends_on="my_prices"', "`depends_on` is not a tuple of texts"),
    ],
)
def test_a_wrong_spec_is_a_finding(shop: Repository, tmp_path: Path, old: str, new: str, message: str) -> None:
    source = tmp_path / "source"
    shutil.copytree(EXAMPLE, source)
    module = source / "src/price_bands/__init__.py"
    text = module.read_text(encoding="utf-8")
    assert old in text
    module.write_text(text.replace(old, new, 1), encoding="utf-8")
    configure(shop.root, "", first='registry_packages = ["price-bands"]')

    with installed_package(tmp_path / "installed", source):
        found = findings(shop, "status")
        assert shop("verify", shop.active("my_prices"), now=LATER).code == 0
        assert shop("build", now=LATER).code == 2

    codes = {code for code, text in found if message in text}
    assert codes == {"CONFIG_REGISTRY_INVALID"}, found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    del repository", "    return 3\n    del repository", "the reader of price_bands returned no BuildInputs"),
        ("    del repository", "    1 / 0\n    del repository", "the reader of price_bands raised ZeroDivisionError"),
        ("    del context", "    {}['x']\n    del context", "the builder of price_bands raised KeyError"),
        ("    del context", "    return None\n    del context", "returned a NoneType and no Artifacts"),
        ("{ARTIFACT: json", "{'other.json': json", "returned other files than PRICE_BANDS.json"),
    ],
)
def test_the_code_of_a_package_that_fails_is_a_finding_and_others_are_built(
    shop: Repository, tmp_path: Path, old: str, new: str, message: str
) -> None:
    source = tmp_path / "source"
    shutil.copytree(EXAMPLE, source)
    module = source / "src/price_bands/__init__.py"
    text = module.read_text(encoding="utf-8")
    assert old in text
    module.write_text(text.replace(old, new, 1), encoding="utf-8")
    configure(shop.root, "", first='registry_packages = ["price-bands"]')

    with installed_package(tmp_path / "installed", source):
        build = shop("build", "--json", now=LATER)

    document = json.loads(build.out)
    found = [f["message"] for f in document["findings"] if f["code"] == "CONFIG_PACKAGE_INVALID"]
    assert build.code == 7
    assert any(message in text for text in found), document["findings"]
    assert "run_registry" in [row["registry_id"] for row in document["built"] if row["activated"]]


@pytest.mark.parametrize("name", ["no-such-package", "pytest", "", "../x"])
def test_a_package_that_is_not_there_or_has_no_registry_is_a_finding(shop: Repository, name: str) -> None:
    configure(shop.root, "", first=f'registry_packages = ["{name}"]')

    assert "CONFIG_PACKAGE_INVALID" in {code for code, _ in findings(shop, "status")}
    assert shop("build", now=LATER).code == 2
    assert row_of(shop, "my_prices")["schema"] == "pass"


# A component

COMPONENT: Final = """
type: registry_pipeline.dagster.RegistryComponent
attributes:
  name: station_prices
  description: What the stations charge.
  sources: [prices.json]
  schema: prices.schema.json
  record_key: [sku]
  depends_on: [my_prices]
  group: prices
"""


def write_component(root: Path, text: str = COMPONENT) -> None:
    folder = root / "src/defs/prices"
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(text, encoding="utf-8")
    (folder / "prices.schema.json").write_bytes(make_price_schema())
    shutil.copy(root / PRICES, folder / "prices.json")
    configure(root, "", first='registry_components = ["src/defs/prices/defs.yaml"]')


def test_a_component_describes_a_registry_as_a_table_does(shop: Repository) -> None:
    write_component(shop.root)

    build = shop("build", now=LATER)

    assert build.code == 0, build.err
    assert status(shop)["health_state"] == "HEALTHY"
    rows = {row["registry_id"]: row for row in json.loads(shop("registries", "--json").out)["registries"]}
    assert rows["station_prices"]["title"] == "What the stations charge."
    assert rows["station_prices"]["depends_on"] == ["my_prices"]
    assert rows["station_prices"]["schemas"] == {"prices.json": "src/defs/prices/prices.schema.json"}
    run = shop.runs / shop.active("station_prices")
    assert (run / "prices.json").read_bytes() == (shop.root / PRICES).read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sources: [prices.json]", "source: prices.json", "a registry has no `source`"),
        ("schema: prices", "schema_file: prices", "a registry has no `schema_file`"),
        ("record_key", "record_keys", "unknown key record_keys; did you mean 'record_key'?"),
        ("sources: [prices.json]", "sources: [../prices.json]", "sources.0"),
        ("name: station_prices", "name: sea/prices", "an id is lower-case letters"),
        ("RegistryComponent", "OtherComponent", "no document of the file is"),
        ("attributes:", "attribute:", "`attributes` is missing"),
        ("type:", "\ttype:", "line 2"),
    ],
)
def test_a_component_that_describes_no_registry_is_a_finding(
    shop: Repository, old: str, new: str, message: str
) -> None:
    assert old in COMPONENT
    write_component(shop.root, COMPONENT.replace(old, new, 1))

    found = [text for code, text in findings(shop, "status") if code == "CONFIG_REGISTRY_INVALID"]

    assert len(found) == 1
    assert found[0].startswith("src/defs/prices/defs.yaml describes no registry")
    assert message in found[0]
    assert row_of(shop, "my_prices")["schema"] == "pass"


def test_a_missing_file_of_components_is_a_finding(shop: Repository) -> None:
    configure(shop.root, "", first='registry_components = ["src/none.yaml"]')

    found = [text for code, text in findings(shop, "status") if code == "CONFIG_REGISTRY_INVALID"]

    assert found == ["src/none.yaml describes no registry: the file cannot be read: No such file or directory"]
