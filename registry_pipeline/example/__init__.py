"""The example governed repository: a tide-gauge team with nightly jobs, agents, and evidence of every quality.

Holds the description of its documents, commits and run folders, made anew from a seed and an instant, the oracle of
what must be found wrong with it, and the writing of commits and of folders that no tool of ours would write.
Keeps out sealing (the runbook seals what the example describes) and anybody's real files. May import `model`, `canon`
and `errors`; it may start git, in `writing`.
"""
