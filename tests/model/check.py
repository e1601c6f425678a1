"""Check the model of the slots' protocol with spin: `python -m tests.model.check` (a minute; needs spin and gcc)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

MODEL = Path(__file__).with_name("slots.pml")
MUTANTS = ("FREED_AT_SEND", "NO_MERGE")


def holds(mutant: str = "") -> bool:
    """Whether no reachable state breaks the model's assertion.

    Args:
        mutant: A way in which the protocol is spoilt; by default it is not.

    Raises:
        RuntimeError: The search was not complete.
    """
    with tempfile.TemporaryDirectory() as folder:
        define = [f"-D{mutant}"] if mutant else []
        subprocess.run(["spin", *define, "-a", str(MODEL)], cwd=folder, check=True, capture_output=True)
        subprocess.run(
            ["gcc", "-w", "-O0" if mutant else "-O2", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"],
            cwd=folder,
            check=True,
        )
        found = subprocess.run(["./pan", "-E", "-m2000000"], cwd=folder, check=True, capture_output=True, text=True)
    if "assertion violated" in found.stdout:
        return False
    if "errors: 0" not in found.stdout or "max search depth too small" in found.stdout:
        raise RuntimeError(found.stdout)
    return True


def main() -> int:
    """Check it and its mutants; 0 if all is as it should be."""
    verdicts = {"the protocol": holds()} | {mutant: holds(mutant) for mutant in MUTANTS}
    for name, verdict in verdicts.items():
        sys.stdout.write(f"{name}: {'no window holds more than the limit' if verdict else 'refuted'}\n")
    return 0 if verdicts.pop("the protocol") and not any(verdicts.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
