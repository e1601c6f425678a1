"""The documentation site: `nox -s docs` builds it into build/docs."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import typing
from pathlib import Path
from typing import Any

import attrs
from docutils import nodes
from sphinx import addnodes
from sphinx.domains.python._object import PyObject
from sphinx.util.docutils import SphinxDirective

import goedgepickt_async

project = "goedgepickt-async"
author = "the authors of goedgepickt-async"
project_copyright = author
version = release = goedgepickt_async.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.linkcode",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"goedgepickt-async {version}"
html_copy_source = False
html_extra_path = ["../llms.txt"]
REPOSITORY = "https://github.com/goedgepickt-async/goedgepickt-async"
html_theme_options = {"source_repository": f"{REPOSITORY}/", "source_branch": "main", "source_directory": "docs/"}

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = [("Raises while iterated", "Raises")]
add_module_names = False
python_use_unqualified_type_names = True

# In the docstrings, `name` is a name of ours, or just code.
default_role = "py:obj"

PUBLIC = (
    "goedgepickt_async",
    "goedgepickt_async.resources",
    "goedgepickt_async.convert",
    "goedgepickt_async.webhooks",
    "goedgepickt_async.bulk",
    "goedgepickt_async.bulk.files",
    "goedgepickt_async.sandbox",
    "goedgepickt_async.sandbox.faults",
    "goedgepickt_async.sandbox.deliveries",
    "goedgepickt_async.testing",
)
"""Where public names are shown; a name of several of them is shown under the first."""


_COLON = "\ue000"
"""Replaces the colon in the docstring of a property: napoleon takes the text before a colon for a type."""


def _public_values() -> dict[int, tuple[Any, str]]:
    """Each public class and function, with the module that its users import it from."""
    found: dict[int, tuple[Any, str]] = {}
    for module in PUBLIC:
        for name in importlib.import_module(module).__all__:
            value = getattr(sys.modules[module], name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found.setdefault(id(value), (value, module))
    return found


_VALUES = _public_values()


def _signature(cls: type) -> inspect.Signature:
    """The signature of an attrs class, as its fields tell it."""
    types = typing.get_type_hints(cls)
    parameters = [
        inspect.Parameter(
            field.alias or field.name,
            inspect.Parameter.KEYWORD_ONLY if field.kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=_default(field.default),
            annotation=types[field.name],
        )
        for field in attrs.fields(cls)
        if field.init
    ]
    return inspect.Signature(parameters)


class _Shown:
    """A default value that is to be shown as a text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _default(value: Any) -> Any:
    if value is attrs.NOTHING:
        return inspect.Parameter.empty
    return _Shown(f"{value.factory.__name__}()") if isinstance(value, attrs.Factory) else value  # type: ignore[arg-type]


def _is_made_by_users(cls: type) -> bool:
    """Whether all arguments of its constructor are public. The client makes resources, for example."""
    init = vars(cls).get("__init__") or getattr(cls, "__init__")  # noqa: B009  mypy takes the plain form for a mistake
    if getattr(cls, "_is_protocol", False):
        return False
    try:
        types = typing.get_type_hints(inspect.unwrap(init))
    except NameError:
        return True
    ours = [kind for kind in types.values() if getattr(kind, "__module__", "").startswith("goedgepickt_async")]
    return all(id(kind) in _VALUES for kind in ours)


def _show_fields() -> set[str]:
    """Give attrs classes a signature of their fields, with plain defaults.

    Returns:
        The classes that are shown without what their constructors take.
    """
    classes = [(value, module) for value, module in _VALUES.values() if inspect.isclass(value)]
    for cls, _ in classes:
        if attrs.has(cls):
            cls.__signature__ = _signature(cls)  # type: ignore[attr-defined]  # where inspect looks first
    return {f"{module}.{cls.__qualname__}" for cls, module in classes if not _is_made_by_users(cls)}


_WITHOUT_SIGNATURE = _show_fields()


def _process_signature(_app: object, what: str, name: str, *_: object) -> tuple[str, str] | None:
    return ("", "") if what == "class" and name in _WITHOUT_SIGNATURE else None


def _forget_type(_app: object, what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    if what == "data":
        lines.clear()  # a plain value has the docstring of its type; the page describes it


def _hide_colon(_app: object, what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    if what in {"property", "attribute", "data"} and lines:
        lines[0] = lines[0].replace(":", _COLON)


def _show_colon(_app: object, _what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    lines[:] = [line.replace(_COLON, ":") for line in lines]


def _read_fences(_app: object, _what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Code in docstrings stands between fences, as editors show it best; Sphinx knows a directive."""
    read: list[str] = []
    margin: str | None = None  # of the open fence
    for line in lines:
        text = line.strip()
        if margin is None and text.startswith("```"):
            margin = line[: line.index("`")]
            read += ["", f"{margin}.. code-block:: {text[3:] or 'text'}", ""]
        elif margin is not None and text == "```":
            margin = None
            read.append("")
        else:
            read.append(line if margin is None or not text else f"   {line}")
    lines[:] = read


def _not_on_the_site(_app: object, _env: object, node: Any, content: Any) -> Any:
    """Types of other projects and internal types have no page. Text in single backticks need not be a name."""
    in_reference = node.get("refdomain") == "py" and node.get("refdoc", "").startswith("reference/")
    return content if in_reference else None


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """The address of the source of a Python object, for its link "[source]"."""
    if domain != "py" or not info["module"]:
        return None
    value: Any = sys.modules.get(info["module"])
    try:
        for part in info["fullname"].split("."):
            value = inspect.getattr_static(value, part)
        value = inspect.unwrap(getattr(value, "fget", None) or getattr(value, "__func__", None) or value)
        file, (lines, first) = inspect.getsourcefile(value), inspect.getsourcelines(value)
    except (AttributeError, OSError, TypeError):
        return None  # a plain value
    root = Path(goedgepickt_async.__file__).parents[1]
    path = Path(file or "")
    if not path.is_relative_to(root):
        return None
    return f"{REPOSITORY}/blob/main/{path.relative_to(root).as_posix()}#L{first}-L{first + len(lines) - 1}"


class ImportsTable(SphinxDirective):
    """A table of the packages that each package may import, from the rules of the tests."""

    def run(self) -> list[nodes.Node]:
        """Called by Sphinx."""
        sys.path.insert(0, str(Path(__file__).parents[1]))
        rules = importlib.import_module("tests.test_layers").MAY_IMPORT
        lines = ["| package | may import |", "|---|---|"]
        for package, allowed in rules.items():
            lines.append(f"| `{package}` | {', '.join(f'`{name}`' for name in sorted(allowed)) or 'nothing'} |")
        return list(self.parse_text_to_nodes("\n".join(lines)))


_STATUS = re.compile(r"\b(?:401|403|404|408|409|421|422|425|429|500|502|503|504)\b")


def _index_statuses(_app: Any, document: nodes.document) -> None:
    """Sphinx's search drops numbers. An index entry for each HTTP status of a title or a table is found by it."""
    for section in list(document.findall(nodes.section)):
        places = [child for child in section.children if isinstance(child, nodes.title | nodes.table)]
        found = sorted({status for place in places for status in _STATUS.findall(place.astext())})
        entries = [("single", status, section["ids"][0], "", None) for status in found]
        if entries:
            section.insert(1, addnodes.index(entries=entries))


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_directive("imports-table", ImportsTable)
    app.connect("missing-reference", _not_on_the_site)
    app.connect("doctree-read", _index_statuses, priority=100)  # before the domains read the entries
    app.connect("autodoc-process-signature", _process_signature)
    app.connect("autodoc-process-docstring", _forget_type)
    app.connect("autodoc-process-docstring", _read_fences, priority=300)
    app.connect("autodoc-process-docstring", _hide_colon, priority=400)  # napoleon comes at 500
    app.connect("autodoc-process-docstring", _show_colon, priority=600)
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
