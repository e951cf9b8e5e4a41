"""Wrong policies and all that is wrong with them, from the files in tests/unit/topology/wrong.

A case is a title behind `===`, a file, and behind `---` the problems as `line:column: message`. The
file stands beside header.yaml, so the lines are its own; one that starts with `-` are rules of
policy p, whose lines and columns count from there. `+++ NAME [CODEC]` starts another file; problems
of such a file carry its name.

`python -m tests.unit.topology.wrong_policies` writes what is told now behind every case: to be read
line by line before it is committed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent / "wrong"
HEADER = (HERE / "header.yaml").read_text()
_RULES = "policies:\n  p:\n    rules:\n"
_LINES, _COLUMNS = 3, 6
"""What the rules of a case are moved by."""


@dataclass(frozen=True)
class Wrong:
    """A wrong policy. `others` are further files, as bytes; `told` are its problems."""

    where: str
    title: str
    text: str
    others: tuple[tuple[str, bytes], ...]
    told: tuple[str, ...]

    @property
    def is_rules(self) -> bool:
        return self.text.startswith("-")

    def problems(self, folder: Path) -> tuple[str, ...]:
        """What the loader tells; the files are written to `folder`, which is the working one."""
        from xdpctl.errors import TopologyError
        from xdpctl.topology.load import load

        text = self.text
        if self.is_rules:
            lines = (" " * _COLUMNS + line for line in text.splitlines(keepends=True))
            text = _RULES + "".join(lines)
        files = {"header.yaml": HEADER.encode(), "t.yaml": text.encode(), **dict(self.others)}
        for name, data in files.items():
            (folder / name).write_bytes(data)
        try:
            load([name for name in files if name.endswith(".yaml")])
        except TopologyError as error:
            return tuple(map(self._short, error.problems))
        return ()

    def _short(self, problem: object) -> str:
        file, line, column, message = str(problem).split(":", 3)
        if file != "t.yaml":
            return str(problem)
        moved = (_LINES, _COLUMNS) if self.is_rules else (0, 0)
        return f"{int(line) - moved[0]}:{int(column) - moved[1]}:{message}"


def cases() -> Iterator[Wrong]:
    for path in sorted(HERE.glob("*.txt")):
        yield from _cases(path)


def _cases(path: Path) -> Iterator[Wrong]:
    for part in path.read_text().split("=== ")[1:]:
        title, body = part.split("\n", 1)
        body, _, told = body.rstrip("\n").partition("\n---\n")
        text, *others = f"{body}\n".split("+++ ")
        yield Wrong(path.name, title, text, tuple(map(_other, others)), tuple(told.splitlines()))


def _other(part: str) -> tuple[str, bytes]:
    heading, text = part.split("\n", 1)
    name, _, codec = heading.partition(" ")
    return name, text.encode(codec or "utf-8")


def _write() -> None:
    import os
    import tempfile

    for path in sorted(HERE.glob("*.txt")):
        parts = []
        for part, case in zip(path.read_text().split("=== ")[1:], _cases(path), strict=True):
            with tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)
                told = case.problems(Path(folder))
            body = part.rstrip("\n").partition("\n---\n")[0]
            parts.append("\n".join([f"=== {body}", "---", *told, ""]))
        path.write_text("\n".join(parts))


if __name__ == "__main__":
    _write()
