"""Reading and writing files that people own: the pointer file, logs, role packs, registry entries, git's rule files.

Contains the one lock (`lock`), the one atomic write (`atomic_write`) and the system calls that Python does not offer
(`durable`). Every other package that writes a file goes through here; sealed run folders and the append to a log are
the two exceptions. May import `findings` and below.
"""
