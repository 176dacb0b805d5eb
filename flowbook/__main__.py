"""``python -m flowbook`` is the command ``flowbook``."""

from __future__ import annotations

import sys

from flowbook.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
