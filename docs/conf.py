"""The site of documentation: `make docs` builds it, without a network, and every warning is an error.

Sources are read from the root, so that links to records and code lead to the same place here and in the repository.
"""

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

project = "pellucid"
author = "the authors of pellucid"
root_doc = "docs/index"
include_patterns = ["docs/**", "records/*.md", "pellucid/models/*.md", "LOG.md"]
exclude_patterns = [".*", "build", "runs", "demo", "tests", "data", "benchmarks", "examples"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 600

default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Class attributes", "Attributes")]
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_use_type_comments = False  # there are none, and looking for them takes longer than all the rest

toc_object_entries = False
html_theme = "furo"
html_title = "pellucid"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["static/index.html"]
html_copy_source = False


def with_modules(_app: Any, name: str, source: list[str]) -> None:
    """To the page docs/reference/FOLDER, what the folder says of itself, and every module in it."""
    folder = ROOT / "pellucid" / name.removeprefix("docs/reference/")
    if name.startswith("docs/reference/") and folder.is_dir():
        source[0] += _documented(f"pellucid.{folder.name}")
        for path in sorted(folder.glob("[!_]*.py")):
            source[0] += f"\n## {path.stem}\n{_documented(f'pellucid.{folder.name}.{path.stem}', ':members:')}"


def _documented(module: str, *options: str) -> str:
    lines = "\n".join((f".. automodule:: {module}", *(f"   {option}" for option in options)))
    return f"\n```{{eval-rst}}\n{lines}\n```\n"


def plain_text(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: an indented paragraph is a formula or code, and stars and bars mark up nothing."""
    made: list[str] = []
    literal = False
    for line in lines:
        indented = line.startswith("    ")
        if indented and not literal and made[-1:] == [""]:
            made += ["::", ""]
            literal = True
        literal = literal and (indented or not line)
        made.append(line if literal else _escaped(line))
    lines[:] = made


def _escaped(line: str) -> str:
    """What stands in backticks is left as it is."""
    parts = line.split("`")
    parts[::2] = [re.sub(r"[*|]", r"\\\g<0>", part) for part in parts[::2]]
    return "`".join(parts)


def only_ours(_app: Any, page: nodes.document) -> None:
    """Types of others have no page here: looking for each among all of ours takes long, and may find a namesake."""
    for reference in list(page.findall(pending_xref)):
        if reference.get("refdomain") == "py" and not reference["reftarget"].startswith("pellucid"):
            reference.replace_self(reference.children)


def setup(app: Any) -> None:
    app.connect("doctree-read", only_ours)
    app.connect("source-read", with_modules)
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # before napoleon
