"""`python -m aegis_plan` is the command `aegis`."""

from __future__ import annotations

import sys

from aegis_plan.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
