"""The site of documentation: `make docs` builds it, without a network, and every warning is an error.

Sources are read from the root, so that links to records and code lead to the same place here and in the repository.
"""

import re
import sys
from pathlib import Path
from typing import Any

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
    """A page docs/reference/FOLDER tells of every module of that folder."""
    folder = ROOT / "pellucid" / name.removeprefix("docs/reference/")
    if name.startswith("docs/reference/") and folder.is_dir():
        for path in sorted(folder.glob("[!_]*.py")):
            module = f"pellucid.{folder.name}.{path.stem}"
            source[0] += f"\n## {path.stem}\n\n```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n```\n"


def plain_formulas(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Stars and bars of formulas are what they are, and mark up nothing; what stands in backticks is left alone."""
    for i, line in enumerate(lines):
        parts = line.split("`")
        lines[i] = "`".join(re.sub(r"[*|]", r"\\\g<0>", part) if j % 2 == 0 else part for j, part in enumerate(parts))


def setup(app: Any) -> None:
    app.connect("source-read", with_modules)
    app.connect("autodoc-process-docstring", plain_formulas, priority=400)  # before napoleon
