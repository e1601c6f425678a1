"""The catalogue has every error, with messages that come, and says of each what it carries."""

import re
from pathlib import Path

import pytest

from goedgepickt_async import APIError, GoedGepicktError, errors
from goedgepickt_async.cli.common import Exit
from tests.docs.provoking import PROVOCATIONS, provoke
from tests.support.tables import each_row

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
SECTIONS = dict(re.findall(r"^#{2,3} (\w+)\n(.*?)(?=^#{2,3} |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
"""The text below each heading of one word."""

NEVER_RAISED = {"GoedGepicktError", "TransportError"}


def attributes_of(error: GoedGepicktError) -> set[str]:
    """What an error carries for its users."""
    of_classes = {
        name for kind in type(error).__mro__ for name, value in vars(kind).items() if isinstance(value, property)
    }
    return {name for name in of_classes | vars(error).keys() if not name.startswith("_")}


IN_ALL = attributes_of(GoedGepicktError(""))
OF_API = attributes_of(APIError("")) - IN_ALL


def example_of(name: str) -> str:
    found = re.search(r"```text\n(.*?)\n```", SECTIONS[name], flags=re.DOTALL)
    assert found, f"{name} has no example"
    return found.group(1)


def test_every_error_is_in_the_catalogue_and_nothing_that_is_none() -> None:
    in_words = {name for name in SECTIONS if name.endswith("Error") or name == "Evidence"}
    assert in_words == set(errors.__all__)


def test_every_error_that_is_raised_is_provoked() -> None:
    raised = {name for name in errors.__all__ if name.endswith("Error")} - NEVER_RAISED
    assert {error.__name__ for error in PROVOCATIONS} == raised


@each_row("error", PROVOCATIONS, ids=lambda error: error.__name__)
async def test_the_catalogue_has_the_text_and_the_attributes_of_an_error(
    error: type[GoedGepicktError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / error.__name__).mkdir()
    monkeypatch.chdir(tmp_path / error.__name__)
    monkeypatch.delenv("GOEDGEPICKT_API_KEY", raising=False)
    met = await provoke(error)
    assert type(met) is error
    pattern = re.escape(example_of(error.__name__)).replace("…", ".*")
    assert re.fullmatch(pattern, str(met)), str(met)
    text = SECTIONS[error.__name__]
    carried = attributes_of(met) - IN_ALL
    if issubclass(error, APIError) and error is not APIError:
        assert "As `APIError`" in text
        carried -= OF_API
    assert {name for name in carried if f"`{name}`" not in text} == set()
    assert ("**Attributes.**" in text) == bool(carried or issubclass(error, APIError))


def test_the_catalogue_says_when_an_error_comes_what_to_do_and_whether_to_try_again() -> None:
    for error in PROVOCATIONS:
        assert all(word in SECTIONS[error.__name__] for word in ("**When.**", "**What to do.**", "**Retry?**")), error


def test_attributes_of_all_errors_are_listed_with_the_base_class() -> None:
    assert {name for name in IN_ALL if f"`{name}`" not in SECTIONS["GoedGepicktError"]} == set()


def test_every_kind_of_evidence_is_listed() -> None:
    told = re.findall(r"^\| `(\w+)` \|", SECTIONS["Evidence"], flags=re.MULTILINE)
    assert told == [evidence.name for evidence in errors.Evidence]


def test_listed_exit_codes_equal_the_exit_codes_of_the_command() -> None:
    told = re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    assert {(int(code), name) for code, name in told} == {(code.value, code.name) for code in Exit}
