"""Reading and writing files that people own: the pointer file, logs, role packs, registry entries, git's rule files.

Other packages write files through here, except sealed run folders and the append to a log.
"""
