"""The kernels to test on: fetched by apt, unpacked as far as the tests need, kept in a cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.vm.errors import UnavailableError

PACKAGES = {
    "6.1": ("linux-image-amd64", "linux-image-6.1-amd64"),
    "6.12": ("linux-image-6.12-amd64", "linux-image-amd64"),
}
"""By series, the packages that depend on the newest kernel of it, in some release of Debian."""

WANTED = (
    "./boot/vmlinuz-*",
    "*/lib/modules/*/modules.*",
    *(
        f"*/lib/modules/*/kernel/{part}"
        for part in ("arch", "crypto", "lib", "net", "drivers/net", "drivers/virtio")
    ),
    *(f"*/lib/modules/*/kernel/fs/{part}" for part in ("9p", "fscache", "netfs", "overlayfs")),
)
UNWANTED = (
    "*/drivers/net/ethernet", "*/drivers/net/wireless", "*/drivers/net/wwan", "*/net/bluetooth",
)  # fmt: skip
"""A tenth of the package: what networking and the host's file tree need."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel image, and the directory that is named after its release and holds its modules."""

    image: Path
    modules: Path

    @property
    def release(self) -> str:
        """What `uname -r` says."""
        return self.modules.name


def debian(series: str) -> Kernel:
    """Debian's newest kernel of a series (`6.1`): from the cache, else by apt.

    Where apt cannot be asked or does not answer, the newest of the cache. Raises UnavailableError.
    """
    try:
        package = newest(series)
        return cached(package) or fetch(package)
    except UnavailableError:
        kept = [unpacked(path) for path in cache().glob(f"linux-image-{series}.*")]
        if not kept:
            raise
        return max(kept, key=lambda kernel: kernel.image.stat().st_mtime)


def given(image: Path, modules: Path) -> Kernel:
    """A kernel by path. `modules` is lib/modules/RELEASE, or a tree that has one such."""
    found = [path.parent for path in modules.glob("modules.dep")]
    found += [path.parent for path in modules.glob("lib/modules/*/modules.dep")]
    found += [path.parent for path in modules.glob("*/modules.dep")]
    if not image.is_file():
        raise UnavailableError(f"there is no kernel image {image}")
    if len(found) != 1:
        what = "several sets of modules" if found else "no modules.dep (run depmod)"
        raise UnavailableError(f"{modules} has {what}")
    return Kernel(image.resolve(), found[0].resolve())


def newest(series: str) -> str:
    """The name of the package with the newest kernel of the series, as apt knows it."""
    if not shutil.which("apt-get"):
        raise UnavailableError("there is no apt to fetch a kernel with; give one by path")
    for update in (False, True):
        if update:
            run("apt-get", "update", "-qq")
        for meta in PACKAGES.get(series, ()):
            said = run("apt-cache", "depends", "--important", meta, check=False)
            found = re.search(rf"\b(linux-image-{re.escape(series)}\.\S+)", said)
            if found:
                return found[1]
    raise UnavailableError(f"apt knows no package of Linux {series}")


def cached(package: str) -> Kernel | None:
    """The kernel of a package that was unpacked before."""
    place = cache() / package
    return unpacked(place) if place.exists() else None


def fetch(package: str) -> Kernel:
    """Download a package and unpack it into the cache, wholly or not at all."""
    if not shutil.which("depmod"):
        raise UnavailableError("there is no depmod: install kmod")
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix="new-") as work:
        run("apt-get", "download", "-q", package, cwd=work)
        (archive,) = Path(work).glob("*.deb")
        tree = Path(work) / "tree"
        tree.mkdir()
        excluded = [f"--exclude={pattern}" for pattern in UNWANTED]
        with subprocess.Popen(["dpkg", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as dpkg:
            subprocess.run(
                ["tar", "-x", "-C", tree, *excluded, "--wildcards", *WANTED],
                stdin=dpkg.stdout, capture_output=True, check=False,
            )  # fmt: skip
        kernel = unpacked(tree)  # tar grumbles about patterns that this kernel has nothing for
        run("depmod", "-b", str(tree), kernel.release)
        if not (cache() / package).exists():  # two may fetch at once
            tree.rename(cache() / package)
    return unpacked(cache() / package)


def unpacked(tree: Path) -> Kernel:
    """The kernel in an unpacked package."""
    images = sorted(tree.glob("boot/vmlinuz-*"))
    modules = sorted(path for path in tree.glob("**/lib/modules/*") if path.is_dir())
    if len(images) != 1 or len(modules) != 1:
        raise UnavailableError(f"{tree} holds {len(images)} kernels and {len(modules)} modules")
    return Kernel(images[0], modules[0])


def cache() -> Path:
    """Where kernels are kept: below $XDG_CACHE_HOME."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "xdpctl" / "kernels"


def run(*command: str, cwd: str | None = None, check: bool = True) -> str:
    """Run a command of apt's or depmod's; what it printed."""
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, check=False,
            timeout=600,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{' '.join(command)}: no answer in {error.timeout} s") from None
    if check and done.returncode:
        raise UnavailableError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
