"""Makes docs/terminal.svg, the picture in the README, from a real run: `python docs/record.py`."""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMANDS = (
    "goedgepickt export orders --sandbox --output orders.csv",
    "goedgepickt export orders --sandbox --sandbox-orders 3 --format table --fields display_id,status,shipping.city",
    "cat prijzen.csv",
    'goedgepickt apply prijzen.csv --kind products --sandbox --webshop "Bloemwinkel 1" --yes',
)
PRICES = "sku;naam;prijs\nSB-00000;Blauwe mok;12,50\nNEW-1;Nieuwe mok;9,95\n"
WIDTH = 118


def main() -> None:
    """Run the commands in an empty directory, and write the picture."""
    console = Console(record=True, width=WIDTH, file=Path(os.devnull).open("w", encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        env = {
            **os.environ,
            "COLUMNS": str(WIDTH),
            "XDG_STATE_HOME": folder,
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        (Path(folder) / "prijzen.csv").write_text(PRICES, "utf-8")
        for command in COMMANDS:
            console.print(Text("$ ", "bold green") + Text(command, "bold"))
            words = shlex.split(command.replace("goedgepickt ", f"{sys.executable} -m goedgepickt_async ", 1))
            ran = subprocess.run(
                words, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
            )
            console.print(Text(ran.stdout.strip("\n").replace(folder, "~")), soft_wrap=False)
            console.print()
    picture = console.export_svg(title="goedgepickt", unique_id="terminal")
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # no request to another host
    (Path(__file__).parent / "terminal.svg").write_text(picture, "utf-8")


if __name__ == "__main__":
    main()
