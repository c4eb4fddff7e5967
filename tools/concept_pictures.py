"""The pictures of the explanations: seals, pointers, the chain, as of."""

from __future__ import annotations

from drawing import Drawing


def draw_seal() -> str:
    """Return the picture of how one hash identifies the files of a run folder."""
    drawing = Drawing(
        "seal",
        820,
        318,
        "From the bytes of the files to one root hash",
        "A run folder with three files. manifest.json lists each with its size and hash. MANIFEST.sha256 lists the "
        "same hashes and that of manifest.json. Its last line is the root hash, the hash of all lines above. "
        "Pointers, inputs and records name a run by its folder and this root hash.",
    )
    drawing.box(16, 40, 788, 196, "dashed")
    drawing.text(16, 28, "2026-03-01__120000__drift_signals_build/", "code")
    columns = (
        (32, 190, "the files", ("DRIFT_SIGNALS_v0_1.json", "….schema.json", "run.json")),
        (276, 206, "manifest.json", ("path, size, sha256", "path, size, sha256", "path, size, sha256")),
        (536, 252, "MANIFEST.sha256", ("sha256  path", "sha256  path", "sha256  path", "sha256  manifest.json")),
    )
    for x, width, title, lines in columns:
        drawing.box(x, 56, width, 164)
        drawing.text(x + 12, 78, title, "bold")
        for number, line in enumerate(lines):
            drawing.text(x + 12, 104 + 24 * number, line, "code")
    drawing.box(544, 184, 236, 28, "strong")
    drawing.text(556, 203, "ROOT_SHA256  e9c1…", "code bold")
    for y in (100, 124, 148):
        drawing.arrow((222, y), (276, y))
        drawing.arrow((482, y), (536, y))
    drawing.arrow((482, 172), (536, 172))
    drawing.text(249, 94, "hash", "soft small", "middle")
    drawing.text(509, 94, "same", "soft small", "middle")
    drawing.text(509, 188, "hash", "soft small", "middle")
    drawing.arrow((662, 276), (662, 212))
    drawing.text(648, 270, "the folder and this hash: how pointers, inputs and records name the run", "", "end")
    drawing.text(16, 304, "Another byte in a file, one more file or another file name gives another root.", "soft")
    return drawing.finish()


def draw_pointers() -> str:
    """Return the picture of which runs are active."""
    drawing = Drawing(
        "pointers",
        820,
        300,
        "The pointer file names one run of each registry",
        "Three registries with their runs from old to new. The pointer file names one run of each, by folder and root. "
        "Of run_registry a newer run exists. It is not active, so no reader uses it.",
    )
    drawing.text(290, 28, "sealed runs, from old to new", "soft")
    drawing.box(16, 44, 236, 196)
    drawing.text(28, 66, "the pointer file", "bold")
    drawing.text(28, 84, "the only file that changes", "soft small")
    rows = (("run_registry", "7a", 1, 3), ("op_status_table", "c4", 1, 2), ("drift_signals", "1e", 1, 2))
    for number, (registry, root, active, runs) in enumerate(rows):
        y = 116 + 52 * number
        drawing.text(28, y + 4, registry, "code")
        drawing.text(240, y + 4, f"root {root}…", "code soft", "end")
        for run in range(runs):
            x = 290 + 176 * run
            kind = "strong" if run == active else "dashed" if run > active else "box"
            drawing.box(x, y - 16, 150, 32, kind)
            state = "active" if run == active else "newer, not active" if run > active else "was active"
            drawing.text(x + 75, y + 4, state, "bold" if run == active else "soft", "middle")
        x = 290 + 176 * active
        drawing.arrow((252, y), (270, y), (270, y - 24), (x + 75, y - 24), (x + 75, y - 16))
    drawing.arrow((134, 286), (134, 240))
    drawing.text(148, 282, "Readers begin here: build, status, Dagster, Python. A newer run is not active by itself.")
    return drawing.finish()


def draw_chain() -> str:
    """Return the picture of the activation records."""
    drawing = Drawing(
        "chain",
        820,
        320,
        "Each record names the root hash of the previous one",
        "Three activation records: init, activate, rollback. Each names the root hash of the previous record, and the "
        "hash of the pointer file before and after. The pointer file must have the hash after the last record. The "
        "newest health report names the last record, and an anchor outside of the repository has its root hash.",
    )
    records = (
        ("init", "the first record", "-", "p0", "p0", "a1"),
        ("activate", "Ada: build", "a1", "p0", "p1", "b2"),
        ("rollback", "Ada: wrong clock", "b2", "p1", "p2", "c3"),
    )
    for number, (action, why, previous, before, after, root) in enumerate(records):
        x = 16 + 216 * number
        drawing.text(x, 36, f"record, root {root}…", "code bold")
        drawing.box(x, 46, 172, 118, "strong" if root == "c3" else "box")
        for line, (text, kind) in enumerate(
            (
                (action, "bold"),
                (why, "soft"),
                (f"previous  {previous}{'…' if number else ''}", "code"),
                (f"before    {before}…", "code"),
                (f"after     {after}…", "code"),
            )
        ):
            drawing.text(x + 12, 68 + 21 * line, text, kind)
        if number:
            drawing.arrow((x, 105), (x - 44, 105))
    drawing.box(448, 216, 172, 44)
    drawing.text(460, 235, "the pointer file", "bold")
    drawing.text(460, 252, "sha256  p2…", "code")
    drawing.arrow((534, 216), (534, 164))
    drawing.text(522, 194, "must have this hash", "soft small", "end")
    drawing.box(652, 46, 152, 44)
    drawing.text(664, 65, "health report", "bold")
    drawing.text(664, 82, "previous  c3…", "code")
    drawing.arrow((652, 68), (620, 68))
    drawing.box(652, 120, 152, 44, "dashed")
    drawing.text(664, 139, "anchor, elsewhere", "bold")
    drawing.text(664, 156, "c3…", "code")
    drawing.arrow((652, 142), (620, 142))
    drawing.text(16, 292, "A record that is edited has another root: the next record contradicts it.", "soft")
    drawing.text(
        16, 310, "The last record has no next one: the health report and the anchor contradict an edit of it.", "soft"
    )
    return drawing.finish()


def draw_as_of() -> str:
    """Return the picture of the instants that snapshots describe."""
    drawing = Drawing(
        "as-of",
        820,
        296,
        "A snapshot describes one instant",
        "An operation ran on 26 February and on 28 February. A past day that was built on 1 March describes the end of "
        "27 February: there its last run is 1 day old. The build of 1 March describes its own start: there the last "
        "run is 0 days old, and that stays so, however late the snapshot is read.",
    )
    day, left, axis = 160, 60, 96
    for number, name in enumerate(("26 Feb", "27 Feb", "28 Feb", "1 Mar", "2 Mar")):
        x = left + day * number
        drawing.line((x, axis - 8), (x, axis + 8))
        drawing.text(x + (day / 2 if number < 4 else 40), axis + 24, name, "soft", "middle")
    drawing.arrow((left, axis), (810, axis), kind="line", head="soft")
    for x in (left + 150, left + 2 * day + 150):
        drawing.dot(x, axis, 6, "warm")
        drawing.text(x, axis - 16, "run", "warm", "middle")
    past, build, today = left + 2 * day, left + 3 * day + 80, left + 4 * day + 50
    drawing.arrow((past, 40), (past, axis - 8))
    drawing.text(past, 30, "as of: end of 27 Feb", "bold", "middle")
    drawing.arrow((build, 40), (build, axis - 4))
    drawing.text(build, 30, "as of: 1 Mar 12:00", "bold", "middle")
    drawing.arrow((today, 60), (today, axis - 4), kind="line", head="soft")
    drawing.text(today, 52, "now", "soft", "middle")
    for x, from_x, lines in (
        (past, left + 150, ("past day, built on 1 Mar", "run: 1 day old")),
        (build, left + 2 * day + 150, ("build of 1 Mar", "run: 0 days old")),
    ):
        drawing.line((from_x, axis + 40), (from_x, axis + 52), (x, axis + 52), (x, axis + 40), kind="mark")
        drawing.box(x - 98, axis + 68, 196, 48)
        for number, line in enumerate(lines):
            drawing.text(x, axis + 88 + 18 * number, line, "" if number else "bold", "middle")
    drawing.text(16, 246, "Each statement is sealed and stays true: it names its instant.", "soft")
    drawing.text(
        16, 264, "As of the end of 27 Feb the run of 28 Feb does not exist, although its folder exists now.", "soft"
    )
    drawing.text(16, 282, "Read later, the build of 1 Mar is an older statement, not a wrong one.", "soft")
    return drawing.finish()


def draw_concepts() -> dict[str, str]:
    """Return the pictures by their file names."""
    return {
        "as-of.svg": draw_as_of(),
        "chain.svg": draw_chain(),
        "pointers.svg": draw_pointers(),
        "seal.svg": draw_seal(),
    }
