"""`python -m registry_pipeline` is the command line."""

import sys

from registry_pipeline.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
