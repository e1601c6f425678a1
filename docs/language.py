"""Checks the language of everything that people read: `python docs/language.py [PATH ...]`.

It reads Markdown pages, docstrings, comments, messages and test names. It reports long sentences, forbidden
constructions, and synonyms of a glossary term. CONTRIBUTING.md explains the rules and has the glossary.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 25
LONGEST_TEST_NAME = 16

FORBIDDEN = {
    # constructions
    r"who(so)?ever|whomever": "name the subject",
    r"whatever|whichever|however (many|much|large|long|often)": "name the thing: 'any', 'every', 'regardless of'",
    r"nobody|no one|anybody|somebody|everybody": "name the person or program: 'another program', 'you', 'users'",
    r"(all|most|some|each|any|one|none|many|two|three) of which|of which|of whom|by whom|to whom|by which": "begin a new sentence",
    r"(is|are|was|were|be|been|being) (told|heard|said to)": "'gets', 'is reported', 'is called with'",
    r"hears?|heard of|hear of": "'receives', 'is notified'",
    r"(server|service|api|goedgepickt|redis|budget|file|client|process|program|package|sandbox|store|pool|list|loop)s?"
    r" (speaks?|says?|tells?|told|said|thinks?|believes?|wants?|wishes|likes|minds|forgets|complains?|lies|promises?|guess(es)?)": (
        "programs do not speak or think: 'sends', 'reports', 'returns', 'requires'"
    ),
    r"(server|service|api|goedgepickt) (knows?|remembers?)": "'has', 'stores', 'accepts'",
    r"one (request|line|slot|page|file|row|budget|client|connection|attempt|test|class|entry|call|write|key|session|task|"
    r"thread|value|column|order|product|field) an? \w+": "'one X for each Y' or 'one X per Y'",
    r"(cannot|can not|not|never|nothing|none) \w+ (nothing|never|none|neither)|not un(?!ique|til|der|less|it|ion)\w+|nothing but|none but": "no double negation",
    r"lest|whence|wherein|whereby|thereof|therein|thereby|hereby|hitherto|thither|thus|hence|upon|amongst|whilst": "plain words",
    r"there is no such": "'X does not exist'",
    r"twice is once": "'you can repeat it', 'a second call does nothing'",
    r"makes? no sense": "'is not valid', 'cannot be combined'",
    r"(can)?not be known": "'is unknown'",
    r"(comes?|came) free": "'becomes free'",
    r"but for (its|the|those|an?)": "'except for'",
    r"likewise": "repeat the words",
    # quaint words
    r"anew|afresh": "'again', 'new'",
    r"besides?": "'next to', 'in addition to', 'during', 'with'",
    r"births?|newborn": "'creation', 'new rows'",
    r"mends?|mended|mending": "'fix'",
    r"reckon(s|ed|ing)?": "'expect', 'count', 'calculate'",
    r"ought|shall": "'should', 'must'",
    r"(goes|go|went|going) on": "'continue'",
    r"as a rule": "'usually'",
    r"at once": "'immediately' or 'at the same time'",
    r"all the same|for all that": "'anyway', 'still'",
    r"and the like|and such|and so forth": "name the kind",
    r"for one(?=[,;.])": "'for example'",
    r"of (its|their|your|his|our|her|my|one's) own": "'its own X', 'a separate X'",
    r"(that|those) of": "repeat the noun",
    r"(is|are|was|were|be|been) begun|begun anew": "'is started'",
    r"(lies?|lay) (in|at|on|there|below|behind|within)|(stands?|stood) (in|at|on|there|for|below|behind|by|before|beside)": (
        "'is in', 'is at'"
    ),
    r"for ever|for good|in vain|in hand|at hand|for certain|for a while|ere|a look|one by one|by and by": "plain words",
    r"hang up|hangs up|hung up|dear|fate|doom(ed)?|how-manieth|quaint|nought|naught|seldom|haply|hurry|hurries": "plain words",
    r"(is|are|was|were|be) (had|to be had|not to be had)|be had|to be had": "'is available'",
    r"there (is|are|was|were) none": "name what is missing",
    r"in silence": "'without an error'",
    r"comes? to nothing|came to nothing|makes? nothing of|of no use": "'fails', 'has no effect'",
    r"by (its|their|his) (very )?nature|in the very|the very": "plain words",
    r"as it were|so to speak|needless to say|of course|in other words|mind that|mind what": "leave it out",
    r"simply|obviously|just works|merely|easily": "leave it out",
}
"""What is not written, as a regular expression on lower-case text, and what to write instead."""

PERMANENT: dict[tuple[str, str], str] = {
    ("tests/docs/test_language.py", ""): "samples of what is found",
    ("goedgepickt_async/cli/sandbox.py", "SPEC   = FAULT"): "a grammar",
    ("goedgepickt_async/models/validators.py", "AD AE AF"): "a list of codes",
    ("goedgepickt_async/bulk/files/fields.py", "price, "): "names of columns",
    ("goedgepickt_async/bulk/files/fields.py", "sku, variant sku"): "names of columns",
    ("goedgepickt_async/bulk/files/fields.py", "stock, voorraad"): "names of columns",
    ("goedgepickt_async/budget/redis.py", "redis.call"): "a Lua script",
    ("goedgepickt_async/budget/slots.py", "now + max_lifetime"): "a table of formulas",
    ("goedgepickt_async/convert/generate.py", "{otherwise}"): "generated code",
    ("goedgepickt_async/webhooks/inbox/tables.py", "CREATE TABLE"): "SQL",
    ("goedgepickt_async/webhooks/inbox/tables.py", "ALTER TABLE"): "SQL",
    ("CONTRIBUTING.md", "Name the subject:"): "names forbidden words",
    ("CONTRIBUTING.md", "Programs do not speak"): "names forbidden words",
    ("CONTRIBUTING.md", "No double negation"): "names forbidden words",
    ("CONTRIBUTING.md", "unknown fate"): "names a forbidden word",
}
"""Findings that stay: (path, part of the text) and the reason."""


class Text(NamedTuple):
    """One paragraph, comment, message or name."""

    line: int
    kind: str
    words: str


class Finding(NamedTuple):
    """A place that breaks a rule."""

    path: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}"


def glossary() -> dict[str, str]:
    """Each synonym that is not used, with the glossary's term: the table in CONTRIBUTING.md."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Glossary")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    return {
        synonym.strip().lower(): term
        for term, _meaning, synonyms in rows[2:]
        for synonym in synonyms.split(",")
        if synonym.strip()
    }


# Texts


def in_markdown(source: str) -> Iterator[Text]:
    """The paragraphs, list items, table cells and headings of a page, and the comments in its code."""
    source = re.sub(r"<!--.*?-->", lambda found: "\n" * found[0].count("\n"), source, flags=re.DOTALL)
    block: list[str] = []
    first, fence = 1, ""
    for number, line in enumerate([*source.splitlines(), ""], 1):
        text = line.strip()
        if fence or re.match(r"(```|~~~)", text):
            if not fence:
                fence = text[:3]
            elif text.startswith(fence):
                fence = ""
            elif comment := re.search(r"(?:^|\s\s)# (.+)", line):
                yield Text(number, "comment", comment[1])
            text = ""
        starts = re.match(r"([-*+] |\d+\. |#+ |\||:\w+:|>)", text)
        if block and (not text or starts):
            yield Text(first, "text", " ".join(block))
            block = []
        if text.startswith("|"):
            yield from (
                Text(number, "cell", cell) for cell in re.split(r"(?<!\\)\|", text.strip("|")) if cell.strip(" -:")
            )
        elif text:
            first = first if block else number
            block.append(re.sub(r"^([-*+] |\d+\. |#+ |> ?)", "", text))


def in_python(source: str, *, messages: bool) -> Iterator[Text]:
    """The docstrings, comments, test names and, if asked for, the messages of a module.

    Patterns find them, because parsing all modules takes too long. They rely on the formatting of ruff.
    """
    for found in _DOCSTRING.finditer(source):
        yield from in_docstring(found[1], line_of(found.start(1), source))
    code = _DOCSTRING.sub(_blank, source)
    if messages:
        yield from in_messages(code)
    code = _LONG_STRING.sub(_blank, code)
    for found in _TEST_NAME.finditer(code):
        yield Text(line_of(found.start(1), code), "test name", found[1].replace("_", " "))
    yield from in_comments(code)


def in_messages(code: str) -> Iterator[Text]:
    """The strings of a module that are prose."""
    for found in _LONG_STRING.finditer(code):
        if is_prose(found[0]):
            yield from in_docstring(found[0].strip('"'), line_of(found.start(), code))
    code = _COMMENT.sub("", _LONG_STRING.sub(_blank, code))
    for found in _STRINGS.finditer(code):
        if found[0].count(" ") >= 3:
            words = "".join(_PLACE.sub("X", part) if "f" in mark else part for mark, part in _STRING.findall(found[0]))
            if is_prose(words):
                yield from (Text(line_of(found.start(), code), "message", part) for part in words.split("\\n"))


def line_of(place: int, source: str) -> int:
    """The number of the line at a place."""
    return source.count("\n", 0, place) + 1


def _blank(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")


_DOCSTRING = re.compile(r'^[ \t]*r?"""(.*?)"""', re.DOTALL | re.MULTILINE)
_LONG_STRING = re.compile(r'""".*?"""', re.DOTALL)
_TEST_NAME = re.compile(r"^ *(?:async )?def test_(\w+)", re.MULTILINE)
_COMMENT = re.compile(r"(?:^|(?<=\S  ))# .*", re.MULTILINE)
_STRING = re.compile(r'([frb]{0,2})"((?:[^"\\\n]|\\.)*)"')
_STRINGS = re.compile(r'(?:[frb]{0,2}"(?:[^"\\\n]|\\.)*"\s*)+')
_PLACE = re.compile(r"\{[^{}]*\}")


def is_prose(words: str) -> bool:
    """Whether a string is a text for people, rather than SQL, a pattern, markup or an example."""
    if re.search(
        r"^\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA|BEGIN|ALTER|WITH)\b|<\w+[ >]|</|\\[dws(]|^\s*(local|import|def) ",
        words,
    ):
        return False
    return len(re.findall(r"[A-Za-z']{2,}", words)) >= 4 and words.count(" ") >= 3


def in_docstring(text: str, line: int) -> Iterator[Text]:
    """The paragraphs, list items and entries of a docstring."""
    block: list[str] = []
    first, entries, fence = line, -1, False
    for number, raw in enumerate([*text.splitlines(), ""], line):
        words, margin = raw.strip(), len(raw) - len(raw.lstrip())
        if words.startswith("```"):
            fence, words = not fence, ""
        elif fence or words.startswith((">>>", "...")):
            words = ""
        heading = re.fullmatch(r"(Args|Attributes|Raises|Returns|Yields|Example|Raises while iterated):", words)
        entry = entries == margin and re.match(r"[\w*, .\[\]]+( \(.*?\))?: ", words)
        if block and (not words or heading or entry or re.match(r"([-*] |\d+\. )", words)):
            yield Text(first, "docstring", " ".join(block))
            block = []
        if heading:
            entries = margin + 4
        elif words:
            first = first if block else number
            block.append(words[entry.end() :] if entry else re.sub(r"^([-*] |\d+\. )", "", words))


def in_comments(code: str) -> Iterator[Text]:
    """The comments: lines that follow each other are one text."""
    block: list[str] = []
    first = 0
    for number, line in enumerate([*code.split("\n"), ""], 1):
        if line.lstrip().startswith("# "):
            first = first if block else number
            block.append(line.strip()[2:])
            continue
        if block:
            yield Text(first, "comment", " ".join(block))
            block = []
        if "  # " in line and (comment := re.search(r"\S  # (?!noqa|type:|pragma|pyright)(.+)", line)):
            yield Text(number, "comment", re.sub(r" *# ?noqa.*| *# type: .*", "", comment[1]))


# Rules


def plain(text: str) -> str:
    """The text without markup: a piece of code is one word, a link is its text."""
    text = re.sub(r"``.*?``|`[^`]*`", "Code", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"(https?|rediss?)://\S+", "Link", text)
    text = re.sub(r"noqa: .*|type: ignore.*|pragma: .*", "", text)
    return text.replace("*", "")


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph."""
    text = re.sub(r"\b(e\.g|i\.e|etc|vs|no|approx)\.", r"\1", text)
    return re.split(r"(?<=[.!?…])[\"')*]*\s+(?=[\"'(*]*[A-Z0-9])|(?<=:)\s+(?=[A-Z][a-z]+ )", text)


_FORBIDDEN = [(re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])"), instead) for pattern, instead in FORBIDDEN.items()]
_ANY = re.compile("|".join(pattern.pattern for pattern, _ in _FORBIDDEN))


def problems(text: Text, synonyms: dict[str, str]) -> Iterator[str]:
    """What breaks a rule in one text."""
    words = plain(text.words)
    low = words.lower()
    if _ANY.search(low):
        for pattern, instead in _FORBIDDEN:
            if found := pattern.search(low):
                yield f"{text.kind}: '{found[0]}': {instead}: {around(low, found)}"
    for synonym, term in synonyms.items():
        if synonym in low and (found := re.search(rf"(?<![\w-]){re.escape(synonym)}s?(?![\w-])", low)):
            yield f"{text.kind}: '{found[0]}': the term is '{term}': {around(low, found)}"
    if text.kind == "test name":
        if len(words.split()) > LONGEST_TEST_NAME:
            yield f"test name: {len(words.split())} words, at most {LONGEST_TEST_NAME}"
        return
    for sentence in sentences(words):
        count = sum(bool(re.search(r"\w", word)) for word in sentence.split())
        if count > LONGEST:
            yield f"{text.kind}: {count} words, at most {LONGEST}: {sentence[:70]}…"


def around(text: str, found: re.Match[str]) -> str:
    """The words before and after a match."""
    return "…" + text[max(0, found.start() - 30) : found.end() + 30].strip() + "…"


def check(path: Path, synonyms: dict[str, str]) -> Iterator[Finding]:
    """The findings of one file."""
    name, source = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
    if path.suffix == ".md":
        texts = in_markdown(source)
        if name == "CONTRIBUTING.md":  # the glossary names the synonyms
            synonyms = {}
    else:
        texts = in_python(source, messages=name.startswith("goedgepickt_async/"))
    for text in texts:
        if any(name == file and part in text.words for file, part in PERMANENT):
            continue
        for problem in problems(text, synonyms):
            yield Finding(name, text.line, problem)


# Command


def tracked(paths: list[str]) -> list[Path]:
    """The files that are checked."""
    found = subprocess.run(
        ["git", "ls-files", "-z", *paths], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    names = [
        name for name in found.split("\0") if name.endswith((".md", ".py")) and not name.startswith("docs/language")
    ]
    return [ROOT / name for name in names if (ROOT / name).exists()]


def main() -> int:
    """Print what breaks a rule.

    Returns:
        1 if a file breaks a rule, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*", help="files or directories; default: all")
    synonyms, paths = glossary(), [str(Path(path).resolve()) for path in parser.parse_args().paths]
    found = [finding for path in tracked(paths) for finding in check(path, synonyms)]
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
