"""What the user sees: results on stdout, everything else on stderr, colour only where wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import IO, Any, Literal

Output = Literal["text", "json", "yaml"]
When = Literal["auto", "always", "never"]

_STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}


def coloured(when: When, stream: IO[str]) -> bool:
    """Whether to colour what goes to `stream` (https://no-color.org; an option beats it)."""
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


class Paint:
    """Wraps text in ANSI styles, or leaves it alone where colour is off."""

    def __init__(self, *, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, style: str) -> str:
        """`text` in `style`, one of bold, dim, red, green, yellow, cyan."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.on else text


class Console:
    """Where a command's result and messages go."""

    def __init__(self, output: Output, color: When, *, quiet: bool) -> None:
        self.output = output
        self.quiet = quiet
        self.paint = Paint(on=coloured(color, sys.stdout))
        self._paint_message = Paint(on=coloured(color, sys.stderr))

    def text(self, text: str) -> None:
        """Print a result for people, with a newline."""
        sys.stdout.write(text + "\n")

    def document(self, document: Mapping[str, Any]) -> None:
        """Print a result for programs, as JSON or YAML."""
        if self.output == "yaml":
            from ruamel.yaml import YAML

            yaml: Any = YAML(typ="safe", pure=True)
            yaml.default_flow_style = False
            yaml.sort_base_mapping_type_on_output = False
            yaml.dump(document, sys.stdout)
            return
        from xdpctl.cli.json_text import indented

        sys.stdout.write(indented(document) + "\n")

    def message(self, text: str) -> None:
        """Tell what goes on; `-q` silences it."""
        if not self.quiet:
            sys.stderr.write(text + "\n")

    def warn(self, text: str) -> None:
        """Tell what the user should know; `-q` does not silence it."""
        sys.stderr.write(self._paint_message("warning: ", "yellow") + text + "\n")

    def error(self, text: str, hint: str | None = None) -> None:
        """Tell why it failed and, where known, the fix."""
        sys.stderr.write(self._paint_message("error: ", "red") + text + "\n")
        self.hint(hint)

    def hint(self, hint: str | None) -> None:
        """Tell the fix, if one is known."""
        if hint:
            sys.stderr.write(self._paint_message("hint: ", "cyan") + hint + "\n")
