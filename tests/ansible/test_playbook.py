"""The example playbook, run by a real ansible-core against two hosts: network namespaces."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "ansible"
TEMPLATE = EXAMPLE / "templates" / "web.yaml.j2"
XDPCTL = (sys.executable, "-m", "xdpctl")


@dataclass(frozen=True)
class Site:
    """Two hosts and the inventory that names them."""

    folder: Path
    hosts: tuple[str, ...]

    def inventory(self, template: Path, command: list[str]) -> Path:
        """An inventory in which every host is a namespace of this machine."""
        document = {
            "all": {
                "vars": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": sys.executable,
                    "xdpctl_topology": str(template),
                },
                "hosts": {
                    host: {
                        "xdpctl_command": [*command, "--netns", host],
                        "web_address": f"02:00:00:00:0{number}:10",
                    }
                    for number, host in enumerate(self.hosts, 1)
                },
            }
        }
        file = self.folder / "inventory.json"
        file.write_text(json.dumps(document), "utf-8")
        return file

    def play(
        self, *options: str, template: Path = TEMPLATE, command: tuple[str, ...] = XDPCTL
    ) -> dict[str, dict[str, int]]:
        """Run the playbook; the statistics of each host."""
        done = subprocess.run(
            [
                Path(sys.executable).with_name("ansible-playbook"),
                "--inventory",
                self.inventory(template, list(command)),
                *options,
                EXAMPLE / "playbook.yaml",
            ],
            cwd=self.folder,
            env={
                **os.environ,
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_LOCALHOST_WARNING": "false",
                "ANSIBLE_LOCAL_TEMP": str(self.folder / "local"),
                "ANSIBLE_REMOTE_TEMP": str(self.folder / "remote"),
                "PYTHONPATH": str(REPOSITORY),
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        recap = done.stdout.partition("PLAY RECAP")[2]
        stats = {
            host: {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", numbers)}
            for host, numbers in re.findall(r"^(\S+) +: (.*)$", recap, re.MULTILINE)
        }
        assert set(stats) == set(self.hosts), done.stdout + done.stderr
        return stats

    def links(self) -> dict[str, list[dict[str, object]]]:
        """All that `ip -d link` says of each host, less what counts on by itself."""
        shown = {}
        for host in self.hosts:
            done = subprocess.run(
                ["ip", "-n", host, "-d", "-j", "link"], check=True, capture_output=True, text=True
            )
            shown[host] = json.loads(done.stdout)
        return shown


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, tuple(f"xt-ansible-{uuid.uuid4().hex[:6]}-{side}" for side in "ab"))
    try:
        for host in made.hosts:
            subprocess.run(["ip", "netns", "add", host], check=True)
            for command in ("link add eth0 type veth peer name wire0", "link set eth0 up"):
                subprocess.run(["ip", "-n", host, *command.split()], check=True)
        yield made
        for host in made.hosts:
            subprocess.run(
                [*XDPCTL, "--netns", host, "destroy", "web"],
                check=False,
                capture_output=True,
            )
    finally:
        for host in made.hosts:
            subprocess.run(["ip", "netns", "delete", host], check=False)


def names(site: Site, host: str) -> set[object]:
    return {link["ifname"] for link in site.links()[host]}


def test_first_run_changes_second_does_not_and_check_mode_never_does(site: Site) -> None:
    before = site.links()
    for stats in site.play("--check").values():
        assert (stats["changed"], stats["failed"]) == (1, 0)
    assert site.links() == before

    for stats in site.play().values():
        assert (stats["changed"], stats["failed"]) == (2, 0)  # plan and apply
    for host in site.hosts:
        assert names(site, host) == {"lo", "eth0", "wire0", "web0"}

    after = site.links()
    for options in ((), ("--check",)):
        for stats in site.play(*options).values():
            assert (stats["changed"], stats["failed"]) == (0, 0)
    assert site.links() == after


def test_a_broken_file_fails_the_task_and_leaves_the_hosts_as_they_were(site: Site) -> None:
    site.play()
    before = site.links()
    broken = site.folder / "broken.yaml.j2"
    broken.write_text(TEMPLATE.read_text("utf-8").replace("mode: bridge", "mode: brigde"), "utf-8")
    for stats in site.play(template=broken).values():
        assert (stats["changed"], stats["failed"]) == (0, 1)
    assert site.links() == before


def test_a_host_without_xdpctl_fails_instead_of_counting_as_changed(site: Site) -> None:
    for stats in site.play(command=("/nonexistent/xdpctl",)).values():
        assert (stats["changed"], stats["failed"]) == (0, 1)
