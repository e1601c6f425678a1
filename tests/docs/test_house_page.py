"""The page on the house says what the tests of the house keep."""

import re
from pathlib import Path

import goedgepickt_async
from tests.test_house import AIOHTTP_MAY_BE_IN, MAY_KNOW, imports_of

PAGE = (Path(__file__).parents[2] / "docs" / "house.md").read_text()
PACKAGE = Path(goedgepickt_async.__file__).parent


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_table_of_the_rooms_is_the_one_that_the_tests_keep() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", section("The rooms"), flags=re.MULTILINE)
    assert {room: set(re.findall(r"`(\w+)`", known)) for room, known in rows} == MAY_KNOW


def test_the_page_names_the_files_that_may_import_aiohttp() -> None:
    sentence = re.search(r"- \*\*aiohttp\*\* is imported in (.*?);", section("The rooms"), flags=re.DOTALL)
    assert sentence
    told = set(re.findall(r"`([\w/.]+)`", sentence.group(1)))
    assert told == AIOHTTP_MAY_BE_IN | {"sandbox", "cli"}


def test_the_files_that_the_page_calls_free_of_io_are() -> None:
    sentence = re.search(r"- \*\*No IO\*\* in (.*?):", section("The rooms"), flags=re.DOTALL)
    assert sentence
    files = re.findall(r"`([\w/.]+)`", sentence.group(1))
    assert files
    for file in files:
        roots = {name.split(".")[0] for name in imports_of(PACKAGE / file)}
        assert not roots & {"aiohttp", "asyncio", "os", "pathlib", "socket", "sqlite3", "threading", "time"}, file


def test_every_file_that_the_page_names_is_there() -> None:
    begun = {"models/known_supplier.py", "resources/suppliers.py"}  # those that the page has its reader write
    named = set(re.findall(r"`((?:goedgepickt_async/|tests/|docs/)?[\w/]+\.(?:py|md))`", PAGE)) - begun
    beside = (PACKAGE, PACKAGE.parent, PACKAGE.parent / "docs" / "reference")
    assert named
    assert {name for name in named if not any((place / name).exists() for place in beside)} == set()


def test_the_sessions_that_the_page_names_are_there() -> None:
    told = re.findall(r"nox -s ([\w ]+)", PAGE)
    assert told
    sessions = (PACKAGE.parent / "noxfile.py").read_text()
    assert all(f"\ndef {name}(session" in sessions for names in told for name in names.split())
