"""`python -m goedgepickt_async` is the `goedgepickt` command."""

from __future__ import annotations

import sys

from goedgepickt_async.cli import main

if __name__ == "__main__":
    sys.exit(main())
