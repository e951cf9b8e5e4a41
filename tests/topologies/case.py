"""A case: a folder with topology files, what the host has, and all that xdpctl says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

HERE = Path(__file__).parent
KEYS = {"about", "needs", "host", "meanwhile", "options"}
BEFORE = "before.yaml"


@dataclass(frozen=True)
class Case:
    """See README.md for the files of a case."""

    path: Path

    @cached_property
    def given(self) -> Mapping[str, Any]:
        """What case.yaml says."""
        found: dict[str, Any] = read(self.path / "case.yaml")
        assert found.keys() <= KEYS, f"{self.path.name}/case.yaml: {found.keys() - KEYS}"
        return found

    @property
    def needs(self) -> list[str]:
        """Kinds of devices that not every kernel makes."""
        return list(self.given.get("needs", ()))

    @property
    def options(self) -> list[str]:
        """Further options of plan and apply."""
        return list(self.given.get("options", ()))

    @property
    def expected(self) -> str:
        """What xdpctl says: commands as in a shell, and their output."""
        return (self.path / "expected").read_text("utf-8")

    @property
    def refused(self) -> bool:
        """Whether it is an error, of the files or of what they ask for on this host."""
        return self.expected.rstrip().endswith("exit 1")

    @property
    def wrong(self) -> bool:
        """Whether the files themselves are: then no kernel is needed to tell."""
        return self.expected.startswith("$ xdpctl validate")

    @property
    def files(self) -> list[str]:
        """The names of the topology files."""
        names = {path.name for path in self.path.glob("*.yaml")} - {"case.yaml", BEFORE}
        return sorted(names)

    @property
    def before(self) -> list[str]:
        """The file that is applied first, if there is one."""
        return [BEFORE] if (self.path / BEFORE).exists() else []

    def devices(self) -> dict[str, Mapping[str, Any]]:
        """The devices of all files as they are written."""
        found: dict[str, Mapping[str, Any]] = {}
        for name in (*self.before, *self.files):
            found |= read(self.path / name).get("devices", {})
        return found

    @property
    def host(self) -> list[str]:
        """Arguments of `ip`: what makes the host. Left out: a veth for each physical device."""
        if "host" in self.given:
            return list(self.given["host"])
        nics = sorted(name for name, one in self.devices().items() if one["kind"] == "physical")
        return [
            line
            for at, nic in enumerate(nics, 1)
            for line in (
                f"link add {nic} address 02:00:00:00:fe:{at:02x} type veth peer name far-{nic}",
                f"link set far-{nic} up",
            )
        ]

    @property
    def meanwhile(self) -> list[str]:
        """Arguments of `ip`: what somebody does after before.yaml was applied."""
        return list(self.given.get("meanwhile", ()))


def read(path: Path) -> Any:
    """A YAML file as plain data."""
    return YAML(typ="safe").load(path.read_text("utf-8"))


def cases() -> list[Case]:
    """All cases, by name."""
    return [Case(path.parent) for path in sorted(HERE.glob("*/case.yaml"))]
