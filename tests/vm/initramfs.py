"""The file system that a kernel starts from: a static busybox, some modules, and a script."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from tests.vm.errors import UnavailableError
from tests.vm.kernels import Kernel

MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
"""What the kernel needs to see the host's file tree."""

INIT = """\
#!/busybox sh
/busybox mkdir -p /proc /sys /dev /lower /memory /root
/busybox mount -t devtmpfs dev /dev
/busybox mount -t proc proc /proc
for module in $(/busybox cat /modules/order); do
  /busybox insmod /modules/$module || echo "cannot load $module"
done
die() { echo "$1"; /busybox poweroff -f; }
/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=524288 tree /lower \\
  || die "cannot mount the host's file tree"
/busybox mount -t tmpfs -o mode=755 memory /memory
/busybox mkdir /memory/upper /memory/work
/busybox mount -t overlay -o lowerdir=/lower,upperdir=/memory/upper,workdir=/memory/work \\
  overlay /root || die "cannot lay a writable file tree over the host's"
/busybox mount --move /dev /root/dev
/busybox mount -t proc proc /root/proc
/busybox mount -t sysfs sysfs /root/sys
/busybox mount -t bpf bpf /root/sys/fs/bpf
/busybox mount -t tmpfs -o mode=755 run /root/run
/busybox mkdir -p /root/run/lock /root/run/vm /root/dev/shm /root/dev/pts
/busybox mount -t devpts devpts /root/dev/pts
/busybox mount -t tmpfs shm /root/dev/shm
/busybox mkdir -p /root/lib/modules/$RELEASE
/busybox mount --bind /root$MODULES /root/lib/modules/$RELEASE
/busybox cp /busybox /start /root/run/vm
/busybox stty raw -F /root/dev/ttyS1
echo "/run/vm/busybox poweroff -f" >> /root/run/vm/start
exec /busybox switch_root /root /run/vm/busybox sh /run/vm/start
"""
"""switch_root, as the kernel looks for modprobe in the first process's root."""


def build(kernel: Kernel, script: str) -> bytes:
    """An initramfs whose init runs a shell script in the host's file tree, then powers off."""
    entries: list[tuple[str, int, bytes]] = [("modules", stat.S_IFDIR | 0o755, b"")]
    order: list[str] = []
    for path in needed(kernel):
        order.append(path.name)
        entries.append((f"modules/{path.name}", stat.S_IFREG | 0o644, path.read_bytes()))
    head = f"RELEASE={kernel.release}\nMODULES={kernel.modules}\n"
    shebang, _, rest = INIT.partition("\n")
    entries += [
        ("modules/order", stat.S_IFREG | 0o644, "\n".join(order).encode()),
        ("busybox", stat.S_IFREG | 0o755, Path(busybox()).read_bytes()),
        ("init", stat.S_IFREG | 0o755, f"{shebang}\n{head}{rest}".encode()),
        ("start", stat.S_IFREG | 0o755, script.encode()),
        ("TRAILER!!!", 0, b""),
    ]
    return b"".join(member(number, *entry) for number, entry in enumerate(entries, 1))


def busybox() -> str:
    """A busybox that needs no libraries."""
    path = shutil.which("busybox")
    if path is None or b"ld-linux" in Path(path).read_bytes()[:4096]:
        raise UnavailableError("there is no static busybox: install busybox-static")
    return path


def needed(kernel: Kernel) -> list[Path]:
    """The files of MODULES and of what they need, in the order to load them in."""
    if not shutil.which("modprobe"):
        raise UnavailableError("there is no modprobe: install kmod")
    names: dict[str, list[str]] = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, below = line.partition(":")
        names[stem(path)] = [*reversed(below.split()), path]
    builtin = {stem(path) for path in (kernel.modules / "modules.builtin").read_text().split()}
    found: dict[str, None] = {}
    for module in MODULES:
        if module in names:
            found |= dict.fromkeys(names[module])
        elif module not in builtin:
            raise UnavailableError(f"{kernel.release} has no module {module}")
    return [kernel.modules / path for path in found]


def stem(path: str) -> str:
    """A module's name by its file's."""
    return Path(path).name.partition(".")[0].replace("-", "_")


def member(number: int, name: str, mode: int, content: bytes) -> bytes:
    """A member of a cpio archive in the format that the kernel reads (newc)."""
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return padded(header + name.encode() + b"\0") + padded(content)


def padded(part: bytes) -> bytes:
    """To a multiple of four bytes."""
    return part + bytes(-len(part) % 4)
