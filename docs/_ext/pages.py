"""What is made when the site is built: navigation from a page's own links, the API reference, the examples.

Nothing is listed by hand, so that a module which moves, a dock or an example that is added is found by itself, and a
page that no README links to is a warning, which fails the build.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Annotated, Any, get_origin, get_type_hints

from docutils.nodes import Element, TextElement
from numpy.typing import ArrayLike
from sphinx.addnodes import desc_annotation, desc_content, desc_signature, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import stringify_annotation

PACKAGE = "napari_subangstrom_cdi"
WITHOUT_PAGES = {f"{PACKAGE}.gui", f"{PACKAGE}.__main__"}  # the window needs a Qt to be imported
API = "docs/api"
EXAMPLES = "examples"
_LONGEST_VALUE = 200

_ITEM = re.compile(r"^- \[([^\]]+)\]\(([^)#]+)\.md\)", re.MULTILINE)
_ROLE = re.compile(r":[a-z:]+:`[.~]*([^`]+)`")
_LISTED = re.compile(r"``(\w+)``")
_LITERAL = re.compile(r"(``.*?``|`[^`]*`_?)")
_ARRAY = re.compile(r"~numpy\.ndarray\[tuple\[(?:~typing\.)?Any, \.\.\.\], ~numpy\.dtype\[([^\[\]]+)\]\]")
_CODE = re.compile(r" ?= ?<(?:[^<>]|<[^<>]*>)*>")  # <factory>, <function Clock.<lambda>>


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect what this file does to the build."""
    app.connect("builder-inited", write_reference)
    app.connect("source-read", complete_page)
    app.connect("autodoc-process-docstring", complete_docstring)
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("autodoc-before-process-signature", resolve_hints)
    app.connect("autodoc-process-signature", shorten)
    app.connect("object-description-transform", cut_long_values)
    app.connect("missing-reference", find_by_import)
    app.connect("build-finished", write_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# Pages that stand in the repository, completed


def complete_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give an index page the navigation that its list of links is, and the other two what they are there for."""
    if docname == "docs/examples":
        source[0] += examples(Path(app.srcdir) / EXAMPLES)
    elif docname == API:
        source[0] += _toctree([f"api/{PACKAGE}"], "hidden")
    elif docname.startswith("docs/") and docname.endswith("README"):
        source[0] += _toctree([f"{text} <{target}>" for text, target in _ITEM.findall(source[0])], "hidden")


def examples(folder: Path) -> str:
    """Each script of a folder under the first line of its docstring, as Markdown."""
    parts = [""]
    for script in sorted(folder.glob("*.py")):
        text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or script.stem
        path = f"{EXAMPLES}/{script.name}"
        code = f"```{{literalinclude}} /{path}\n:language: python\n:caption: {path}\n```"
        parts += [f"## {text.splitlines()[0].rstrip('.')}", "", code, ""]
    return "\n".join(parts)


def _toctree(entries: list[str], *options: str) -> str:
    lines = ["", "", "```{toctree}", *(f":{option}:" for option in options), *entries, "```", ""]
    return "\n".join(lines)


# The reference: a page for each package and each module


def write_reference(app: Sphinx) -> None:
    """Write the pages anew; one whose text is as it was keeps its date, and pages of modules that went, go."""
    folder = Path(app.srcdir) / API
    folder.mkdir(exist_ok=True)
    pages = {f"{name}.rst": page(name) for name in walk(PACKAGE)}
    for old in folder.iterdir():
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def walk(name: str) -> Iterator[str]:
    """The dotted names of a package and of all that is public in it."""
    yield name
    for child in _children(importlib.import_module(name)):
        yield from walk(child)


def _children(module: ModuleType) -> list[str]:
    found = (f"{module.__name__}.{entry.name}" for entry in pkgutil.iter_modules(getattr(module, "__path__", [])))
    return [name for name in found if not name.rpartition(".")[2].startswith("_") and name not in WITHOUT_PAGES]


def page(name: str) -> str:
    """The page of a module or a package, as reStructuredText."""
    module = importlib.import_module(name)
    title = name.removeprefix(f"{PACKAGE}.")
    head = f"{title}\n{'=' * len(title)}\n\n.. automodule:: {name}\n"
    if not hasattr(module, "__path__"):
        return f"{head}   :members:\n"
    return head + _names(module) + _contents(_children(module))


def _names(package: ModuleType) -> str:
    """What a package offers by its own name: a line for each that leads to where it is described.

    A name whose home is a private module is described here, since that has no page.
    """
    offered = {name: getattr(package, name) for name in getattr(package, "__all__", ())}
    offered = {name: value for name, value in offered.items() if not isinstance(value, ModuleType)}
    if not offered:
        return ""
    rows = [_row(name, value) for name, value in offered.items()]
    here = [
        f".. auto{'class' if isinstance(value, type) else 'function'}:: {package.__name__}.{name}\n   :members:\n"
        for name, value in offered.items()
        if _is_ours(value) and value.__module__.startswith(f"{package.__name__}._")
    ]
    return "\n".join(["", ".. rubric:: Names", "", *rows, "", *here])


def _row(name: str, value: Any) -> str:
    if not _is_ours(value):
        return f"- ``{name}``"
    home = value.__module__.partition("._")[0]
    return f"- :py:obj:`{name} <{home}.{value.__qualname__}>`: {_first_line(value)}"


def _is_ours(value: Any) -> bool:
    """Whether it is a class or a function of this package; anything else is a value without a page."""
    return hasattr(value, "__qualname__") and str(value.__module__).startswith(PACKAGE)


def _contents(names: list[str]) -> str:
    """The navigation; the package's docstring lists its files in words."""
    entries = [f"   {name.rpartition('.')[2]} <{name}>" for name in names]
    return "\n".join(["", ".. toctree::", "   :hidden:", "", *entries, ""]) if entries else ""


def _first_line(thing: Any) -> str:
    """The first line of a docstring; its references, which hold on a page of their own only, as plain names."""
    return _with_bars(_ROLE.sub(r"``\1``", (inspect.getdoc(thing) or "").partition("\n")[0]))


# Docstrings and signatures


def complete_docstring(app: Sphinx, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let ``|q|`` be the amount of q, and the files that a package lists lead to their pages."""
    lines[:] = [_with_bars(line) for line in lines]
    if kind == "module":
        pages = {child.rpartition(".")[2]: child for child in _children(thing)}
        lines[:] = [_LISTED.sub(lambda found: _linked(found, pages), line) for line in lines]


def _linked(found: re.Match[str], pages: dict[str, str]) -> str:
    return f":doc:`{found[1]} <{pages[found[1]]}>`" if found[1] in pages else found[0]


def _with_bars(line: str) -> str:
    """A line whose bars, outside of literals, are not taken for a substitution's."""
    parts = _LITERAL.split(line)
    return "".join(part if part.startswith("`") else part.replace("|", r"\|") for part in parts)


def skip_foreign(app: Sphinx, kind: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a module imports from another package, and types that are there for what they declare."""
    if get_origin(thing) is Annotated:
        return True
    return True if not getattr(thing, "__module__", PACKAGE).startswith((PACKAGE, "builtins")) else None


def resolve_hints(app: Sphinx, thing: Any, bound: bool) -> None:
    """Give autodoc the types themselves, without our short names and what ``Annotated`` declares beside them."""
    function = getattr(thing, "__func__", thing)
    if isinstance(function, FunctionType):
        with suppress(NameError):  # made by a library in a namespace of its own
            function.__annotations__ = get_type_hints(function)


def shorten(
    app: Sphinx, kind: str, name: str, thing: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write ``NDArray[float32]`` and ``ArrayLike`` for what numpy makes of them; ``...`` for a default that is code."""
    if kind == "class" and issubclass(thing, tuple) and hasattr(thing, "_fields"):
        fields = (f"{field}: {stringify_annotation(hint, 'smart')}" for field, hint in get_type_hints(thing).items())
        signature = f"({', '.join(fields)})"
    return _shortened(signature), _shortened(returns)


def _shortened(text: str | None) -> str | None:
    if text is None:
        return None
    text = text.replace(stringify_annotation(ArrayLike, "smart"), "~numpy.typing.ArrayLike")
    return _CODE.sub("=...", _ARRAY.sub(r"~numpy.typing.NDArray[\1]", text))


def cut_long_values(app: Sphinx, domain: str, kind: str, content: desc_content) -> None:
    """Show no value that is a whole table; its description says what it is."""
    for signature in content.parent.children:
        if isinstance(signature, desc_signature):
            values = [part for part in signature.findall(desc_annotation) if part.astext().startswith(" = ")]
            for value in values:
                if len(value.astext()) > _LONGEST_VALUE:
                    signature.remove(value)


# References


def find_by_import(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: TextElement) -> Element | None:
    """Let a name be called by any module that imports it; it is described where it is defined.

    One of another package, which only type checkers import, is left as it is.
    """
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"]
    for module in filter(None, (PACKAGE, node.get("py:module"))):
        origin = _origin(module, name)
        if origin is not None and not origin.startswith(PACKAGE):
            return content
        value = _found(origin or module, name.removeprefix(f"{PACKAGE}."))
        if _is_ours(value):
            target = f"{value.__module__.partition('._')[0]}.{value.__qualname__}"
            python = env.domains.python_domain
            return python.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, content)
    return None


def _origin(module: str, name: str) -> str | None:
    """The module from which another's source imports a name; None if it does not."""
    return _imports(importlib.import_module(module)).get(name)


@cache
def _imports(module: ModuleType) -> dict[str, str]:
    """Where each name that a module imports from another comes from."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), module.__spec__.parent)
            for alias in node.names:
                found.setdefault(alias.name, origin)
    return found


def _found(module: str, name: str) -> Any:
    """What a module calls so; None if it has no such name."""
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


# The site's address leads to its first page


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Put an index.html where web servers look for one."""
    if error is None and app.builder.name == "html":
        target = f"{app.config.root_doc}.html"
        text = f'<!doctype html>\n<meta charset="utf-8">\n<meta http-equiv="refresh" content="0; url={target}">\n'
        (Path(app.outdir) / "index.html").write_text(f'{text}<a href="{target}">{app.config.html_title}</a>\n', "utf-8")
