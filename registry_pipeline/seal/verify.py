"""Verify sealed run folders: `python -m registry_pipeline.seal.verify FOLDER...` needs the standard library only."""

from __future__ import annotations

import sys

from registry_pipeline.runs.verify import main

__all__ = ["main"]
if __name__ == "__main__":
    sys.exit(main())
