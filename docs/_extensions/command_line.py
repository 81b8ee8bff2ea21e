"""The directive ``command-line``: one section per verb, read from the application itself."""

from __future__ import annotations

import inspect
from typing import Any

import typer
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from freegaze.cli.app import app as application


class CommandLine(SphinxDirective):
    """Write every verb with its help, its arguments and its options."""

    def run(self) -> list[nodes.Node]:
        """Parse the generated Markdown as part of the page."""
        program = typer.main.get_command(application)
        text = "\n".join(_section(name, verb) for name, verb in program.commands.items())
        lines = StringList(text.splitlines(), source=str(self.env.doc2path(self.env.docname)))
        section = nodes.Element()
        self.state.nested_parse(lines, self.content_offset, section, match_titles=True)
        return section.children


def _section(name: str, verb: Any) -> str:
    rows = [_row(parameter) for parameter in verb.params if not parameter.hidden]
    table = ["| argument or option | default | meaning |", "|---|---|---|", *rows] if rows else []
    text = _code_blocks(inspect.cleandoc(verb.help or ""))
    return "\n".join([f"## freegaze {name}", "", text, "", *table, ""])


def _code_blocks(text: str) -> str:
    """Give indented examples as shell code, several lines in one block."""
    lines: list[str] = []
    in_code = False
    for line in text.replace("\b", "").splitlines():
        is_code = line.startswith("    ") or (in_code and not line.strip())
        if is_code and not in_code:
            lines.append("```bash")
        if in_code and not is_code:
            lines += ["```", ""]
        if line.strip() or not is_code:
            lines.append(line.strip() if is_code else line)
        in_code = is_code
    return "\n".join([*lines, "```"] if in_code else lines)


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = f"`{parameter.name.upper()}`" + ("" if parameter.required else " (optional)")
    else:
        name = ", ".join(f"`{o}`" for o in (*parameter.opts, *parameter.secondary_opts))
    default = parameter.default
    has_default = default not in (None, (), [], "") and not isinstance(default, bool)
    shown = f"`{getattr(default, 'value', default)}`" if has_default else ""
    meaning = " ".join((getattr(parameter, "help", None) or "").split())
    return f"| {name} | {shown} | {meaning} |".replace("\n", " ")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
