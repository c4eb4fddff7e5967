"""Reading the governed repository: run folders, git, documents, versions (SPEC 1, 4.1-4.3).

Holds `read_` functions and, in `inputs`, what gathers the inputs of each builder. Keeps out writing, and any judgement
that a builder could make from values alone. May import `config`, `model`, `canon` and `errors`; git is the only process
that is started, in `git` and nowhere else.
"""
