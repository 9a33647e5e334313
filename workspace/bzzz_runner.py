"""The runner: executes commands in a workspace for an agent, and trusts neither the commands nor what they leave.

It is the only program in the workspace container (architecture §3, §9): it holds no key, and it depends on Python's
standard library alone, so that any image with python3 can be a workspace. `bzzz local` starts one for each agent.

HTTP/1.1 with JSON on a unix socket, mode 0660. The caller's UID is checked by SO_PEERCRED, then its token:
  GET    /healthz       {"ok", "isolation", "busy"}; no token needed
  PUT    /workspace     a tar becomes the checkout; whatever was there before is gone, processes included
  GET    /workspace     the checkout as a tar, without `.git`; `?exclude=NAME` leaves out entries of that name
  DELETE /workspace     kills every process and wipes
  PUT    /files/NAME    a file beside the checkout that commands may read; answers its path
  POST   /run           {"argv", "env", "timeout_s", "stdin" (base64), "output_limit"}; answers lines of JSON,
                        {"stdout" | "stderr": base64} while there is output, at last
                        {"exit": code | -signal | "timeout" | "cancelled", "seconds", "dropped"}
Errors: {"error": {"code", "message"}}.

Isolation is the strongest of these that a trial run shows to work; /healthz and the log name it:
  namespaces   as root: own mount, process and IPC namespaces and the UID of --user; only system folders, the
               tools and the workspace exist inside
  bubblewrap   not as root, with bwrap: the same view, made by bwrap; the UID stays
  user         as root without the right to make namespaces: another UID, nothing hidden
  container    --contained: somebody else's word that a container of its own surrounds the runner; then everything
               that commands left outside of the workspace is swept too, and a runner whose socket a command
               replaced ends itself
  none         nothing but limits; said loudly
A command never outlives its run: with it dies all that it started, however often it forked or called setsid.
The network is the runner's own; what it reaches is for network policies, and localhost ports ask for tokens.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import ctypes
import errno
import hmac
import http.server
import io
import json
import math
import os
import pwd
import re
import resource
import selectors
import shutil
import signal
import socket
import socketserver
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn, cast

if TYPE_CHECKING:
    from typing import TypeGuard  # python3 of an older image may not have it

MIB: Final = 1024 * 1024
MAX_JSON_BYTES: Final = 8 * MIB
MAX_FILE_BYTES: Final = 4 * MIB
MAX_OUTPUT_BYTES: Final = 16 * MIB
DEFAULT_OUTPUT_BYTES: Final = 1 * MIB
MAX_TIMEOUT_S: Final = 6 * 3600
MAX_PATH_BYTES: Final = 4096
CONNECTIONS: Final = 16
CLIENT_PATIENCE_S: Final = 30
"""How long a caller may take to send or to read before it counts as gone."""
KILL_PATIENCE_S: Final = 5
NO_ISOLATION: Final = (
    "commands can read and change all that this user can; install bubblewrap, or run the hive as root or in "
    "containers, before you let it work on issues of strangers"
)

FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
SYSTEM_PATHS: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt")
RESOLVER: Final = "/run/systemd/resolve"
"""Where /etc/resolv.conf points on systems with systemd-resolved."""

SWEPT: Final = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108
"""Where everybody may write."""
CONTAINED_PROCESSES: Final = 8
"""In containers the kernel counts a UID's processes over all containers of the machine, and every workspace has the
same UID: one command alone must stay below the limit times this."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 1, 4, 38, 36
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWPID = 0x20000, 0x4000000, 0x8000000, 0x20000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_BIND, _MS_MOVE, _MS_REC, _MS_PRIVATE = 4096, 8192, 16384, 1 << 18


class RunnerError(Exception):
    """A request that cannot be served: HTTP status, a constant code, and what to do."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def log(level: str, event: str, **fields: object) -> None:
    """Write one JSON line to stderr; never a token, an environment or an output."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(
        json.dumps({"timestamp": at, "level": level, "event": event, **fields}), file=sys.stderr, flush=True
    )


# ---------------------------------------------------------------------------------------------------------------------
# The kernel's calls that Python has no name for
# ---------------------------------------------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def prctl(option: int, value: int) -> None:
    """Set one property of this process."""
    _checked(
        _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)),
        "prctl",
    )


def unshare(flags: int) -> None:
    """Leave the named namespaces for new ones."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount, bind, move or remount."""
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    _checked(_libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]), f"mount {target}")


# ---------------------------------------------------------------------------------------------------------------------
# Processes: finding and ending all of them
# ---------------------------------------------------------------------------------------------------------------------


def descendants_of(ancestor: int) -> set[int]:
    """Return the ids of all processes below one; orphans stay below it when it is a subreaper."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - a name is all that is needed
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # the command's name may hold spaces and brackets: fields are counted from the last one
                fields = Path("/proc", entry, "stat").read_bytes().rsplit(b")", 1)[1].split()
                children.setdefault(int(fields[1]), []).append(int(entry))
    found: set[int] = set()
    todo = [ancestor]
    while todo:
        for child in children.get(todo.pop(), []):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def kill_descendants(spare: Iterable[int] = ()) -> bool:
    """Kill all processes below this one, until none is left or `KILL_PATIENCE_S` is over; return whether none is.

    Several passes, because a process may fork while the list is read; each pass leaves fewer that could.
    """
    kept = set(spare)
    end = time.monotonic() + KILL_PATIENCE_S
    while found := descendants_of(os.getpid()) - kept:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def kill_user(uid: int, gid: int) -> None:
    """Kill every process of a UID at once: the kernel's kill(-1) leaves no gap in which a fork could slip away."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(OSError):
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(pid, 0)


# ---------------------------------------------------------------------------------------------------------------------
# The launcher: a process of its own around each command (`bzzz_runner.py --launch`)
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Launch:
    """One command with all that surrounds it; travels to the launcher as JSON over a pipe."""

    isolation: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    uid: int
    gid: int
    visible: list[str]
    """Paths that exist, read-only, inside namespaces or bubblewrap."""
    writable: list[str]
    temporary: str
    """Folder that is /tmp inside."""
    view: str
    """Empty folder on which the new root is put together."""
    limits: dict[str, int]
    """Names of RLIMIT_ constants and their values."""


class Launcher:
    """Prepares the isolation, starts the command, waits for it, ends everything below, says how it went."""

    def __init__(self, launch: Launch, status: int) -> None:
        self._launch, self._status = launch, status
        self._child = 0

    def run(self) -> None:
        """Run to the end; the outcome goes to the status pipe as one JSON object."""
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(_PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGTERM, self._stop)
        if self._launch.isolation == "namespaces":
            unshare(_CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWIPC | _CLONE_NEWUTS)
            self._child = os.fork()
            if self._child == 0:
                self._first_process()
            os.waitpid(self._child, 0)  # with the first process the kernel kills the whole namespace
        else:
            self._report(self._command())

    def _stop(self, _number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)

    def _first_process(self) -> NoReturn:
        """Be process 1 of the new namespace: it reaps, and its end is everybody's end."""
        try:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            enter_view(self._launch)
            self._report(self._command())
        except OSError as error:
            self._report({"error": str(error)})
        os._exit(0)

    def _command(self) -> dict[str, object]:
        """Start the command, wait for it, and end what it left behind."""
        problem_r, problem_w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(problem_r)
            self._become_command(problem_w)
        self._child = pid
        os.close(problem_w)
        with os.fdopen(problem_r, "rb") as pipe:
            problem = pipe.read(4096).decode(errors="replace")
        code = self._wait(pid)
        if self._launch.isolation == "user":
            kill_user(self._launch.uid, self._launch.gid)
        if os.getpid() != 1:
            kill_descendants()
        return {"exit": 127, "error": problem} if problem else {"exit": code}

    @staticmethod
    def _wait(pid: int) -> int:
        while True:
            ended, status = os.wait()  # orphans are reaped on the way
            if ended == pid:
                return os.waitstatus_to_exitcode(status)

    def _become_command(self, problem: int) -> NoReturn:
        launch = self._launch
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.setsid()
            os.umask(0o022)
            for name, value in launch.limits.items():
                _lower_limit(getattr(resource, name), value)
            if launch.isolation in ("namespaces", "user"):
                os.setgroups([])
                os.setresgid(launch.gid, launch.gid, launch.gid)
                os.setresuid(launch.uid, launch.uid, launch.uid)
            # after the change of UID, which forgets it: a runner that is killed takes its command along
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if launch.isolation != "bubblewrap":  # setuid root on some systems; it sets this itself
                prctl(_PR_SET_NO_NEW_PRIVS, 1)
            os.chdir(launch.cwd)
            argv = bubblewrap_argv(launch) if launch.isolation == "bubblewrap" else launch.argv
            os.execvpe(argv[0], argv, launch.env)  # noqa: S606 - no shell is the point
        except BaseException as error:  # whatever it is, this process must end here
            os.write(problem, f"{launch.argv[0]}: {error}"[:2048].encode(errors="replace"))
        os._exit(127)

    def _report(self, outcome: dict[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._status, json.dumps(outcome).encode())


def _lower_limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (allowed, allowed))


def enter_view(launch: Launch) -> None:
    """Put together a root in which only system folders, tools and the workspace exist, and make it ours."""
    mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    view = launch.view
    mount("tmpfs", view, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755,size=1m")
    _bind(launch.temporary, view + "/tmp", 0)  # noqa: S108 - the sandbox's own /tmp
    for path in launch.visible:
        source = Path(path)
        if source.is_symlink():
            target = Path(view + path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(os.fspath(Path(path).readlink()))
        elif source.exists():
            _bind(path, view + path, _MS_RDONLY)
    for path in launch.writable:
        _bind(path, view + path, 0)
    _make_devices(view)
    Path(view, "proc").mkdir()
    mount("proc", view + "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    os.chdir(view)
    mount(view, "/", None, _MS_MOVE)
    os.chroot(".")
    os.chdir("/")


def _bind(source: str, target: str, more: int) -> None:
    Path(target).mkdir(parents=True, exist_ok=True)
    mount(source, target, None, _MS_BIND | _MS_REC)
    mount(None, target, None, _MS_BIND | _MS_REMOUNT | _MS_NOSUID | _MS_NODEV | more)


def _make_devices(view: str) -> None:
    devices = Path(view, "dev")
    devices.mkdir()
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (devices / name).touch()
        mount(f"/dev/{name}", f"{devices}/{name}", None, _MS_BIND)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        (devices / name).symlink_to(f"/proc/self/fd{target}")
    (devices / "shm").mkdir()
    mount("tmpfs", f"{devices}/shm", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777,size=64m")


def bubblewrap_argv(launch: Launch) -> list[str]:
    """Return the command line by which bwrap makes the same view as `enter_view`."""
    argv = [
        "bwrap",
        "--die-with-parent",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--cap-drop",
        "ALL",
    ]
    argv += ["--proc", "/proc", "--dev", "/dev", "--bind", launch.temporary, "/tmp"]  # noqa: S108
    for path in launch.visible:
        if Path(path).is_symlink():
            argv += ["--symlink", os.fspath(Path(path).readlink()), path]
        elif Path(path).exists():
            argv += ["--ro-bind", path, path]
    for path in launch.writable:
        argv += ["--bind", path, path]
    return [*argv, "--chdir", launch.cwd, "--", *launch.argv]


def launch_main(launch_fd: int, status_fd: int) -> None:
    """Be the launcher: read what to launch from one pipe, report to the other."""
    os.set_inheritable(status_fd, False)
    with os.fdopen(launch_fd, "rb") as pipe:
        launch = Launch(**json.loads(pipe.read()))
    launcher = Launcher(launch, status_fd)
    try:
        launcher.run()
    except OSError as error:
        os.write(status_fd, json.dumps({"error": str(error)}).encode())


# ---------------------------------------------------------------------------------------------------------------------
# The workspace: files in, files out
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bounds:
    """What a workspace may hold, and what each command may take."""

    workspace_bytes: int
    workspace_files: int
    memory_bytes: int
    processes: int
    file_bytes: int


class Workspace:
    """The folders under --root. Only `checkout` ever leaves; `home`, `tmp` and `files` go with the issue."""

    def __init__(self, root: Path, owner: tuple[int, int] | None, bounds: Bounds) -> None:
        self.root, self._owner, self._bounds = root, owner, bounds
        self.alone = False
        """Whether nobody else's files are in the shared folders: a container is around."""
        self.checkout, self.home = root / "checkout", root / "home"
        self.temporary, self.files, self.view = root / "tmp", root / "files", root / "view"

    def wipe(self) -> None:
        """Remove all that is there and make the folders anew."""
        folders = (self.checkout, self.home, self.temporary, self.files, self.view)
        for folder in folders:
            remove_tree(folder)
            folder.mkdir(mode=0o700 if folder == self.view else 0o755)
        self.temporary.chmod(0o1777)
        for folder in (self.checkout, self.home):
            self._give(folder)
        if self._owner is not None:
            _remove_strays(self._owner[0], SWEPT)
        elif self.alone:
            _remove_strays(os.geteuid(), SWEPT)
            _remove_strays(os.geteuid(), (str(self.root),), frozenset(folder.name for folder in folders))

    def _give(self, path: Path) -> None:
        if self._owner is not None:
            os.lchown(path, *self._owner)

    def put_file(self, name: str, data: bytes) -> Path:
        """Write a file that commands may read and not change (where their UID is another). Returns its path."""
        path = self.files / name
        path.write_bytes(data)
        path.chmod(0o444)
        return path

    def unpack(self, source: IO[bytes]) -> int:
        """Fill the empty checkout from a tar stream; return the number of entries.

        Raises RunnerError for paths or links that lead out, anything but files, folders and symlinks, and for
        more than the bounds allow. The caller wipes after an error.
        """
        files = size = 0
        try:
            with tarfile.open(fileobj=source, mode="r|*") as tar:
                for member in tar:
                    files, size = files + 1, size + max(member.size, 0)
                    self._within_bounds(files, size)
                    self._unpack_one(tar, member)
        except (tarfile.TarError, EOFError, UnicodeError) as error:
            raise RunnerError(400, "BAD_TAR", f"expected a whole tar, came: {error}") from error
        except OSError as error:
            raise RunnerError(
                422, "BAD_TAR", f"expected entries that fit into one tree, came: {error}"
            ) from error
        return files

    def _within_bounds(self, files: int, size: int) -> None:
        if files > self._bounds.workspace_files or size > self._bounds.workspace_bytes:
            raise RunnerError(
                413,
                "WORKSPACE_TOO_LARGE",
                f"expected at most {self._bounds.workspace_files} entries and {self._bounds.workspace_bytes} bytes, "
                f"came {files} entries and {size} bytes; raise --max-files or --max-workspace-mb",
            )

    def _unpack_one(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = inner_path(member.name)
        if not parts:
            return
        target = self.checkout.joinpath(*parts)
        self._make_parents(parts)
        if member.isdir():
            if not target.is_dir() or target.is_symlink():
                target.mkdir()
                self._give(target)
        elif member.issym():
            check_link(parts, member.linkname)
            target.symlink_to(member.linkname)
            self._give(target)
        elif member.isreg():
            self._write(target, tar.extractfile(member), 0o755 if member.mode & 0o100 else 0o644)
        else:
            raise RunnerError(
                422,
                "BAD_ENTRY",
                f"{member.name}: expected a file, folder or symlink; came type {member.type!r}",
            )

    def _make_parents(self, parts: list[str]) -> None:
        folder = self.checkout
        for part in parts[:-1]:
            folder = folder / part
            if folder.is_symlink():
                raise RunnerError(422, "BAD_PATH", f"{'/'.join(parts)}: expected no path through a symlink")
            if not folder.exists():
                folder.mkdir()
                self._give(folder)

    def _write(self, target: Path, content: IO[bytes] | None, mode: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(target, flags, mode), "wb") as out:
            if content is not None:
                shutil.copyfileobj(content, out, MIB)
            os.fchmod(out.fileno(), mode)
            if self._owner is not None:
                os.fchown(out.fileno(), *self._owner)

    def pack(self, out: IO[bytes], exclude: frozenset[str]) -> None:
        """Write the checkout as a tar: sorted, without owners and times, without `.git`, sockets and devices."""
        files = size = 0
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, status in _walk(self.checkout, exclude):
                files, size = files + 1, size + (status.st_size if stat.S_ISREG(status.st_mode) else 0)
                self._within_bounds(files, size)
                _pack_one(tar, path, str(path.relative_to(self.checkout)), status)


def inner_path(name: str) -> list[str]:
    """Split an entry's name. Raises RunnerError for one that leads out of the checkout or into a `.git`."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    bad = name.startswith("/") or ".." in parts or "\0" in name or len(os.fsencode(name)) > MAX_PATH_BYTES
    if bad or any(part.lower() == ".git" for part in parts):
        raise RunnerError(
            422, "BAD_PATH", f"{name[:200]!r}: expected a path inside the checkout, and not of .git"
        )
    return parts


def check_link(parts: list[str], target: str) -> None:
    """Check that a symlink stays inside. Raises RunnerError."""
    depth = len(parts) - 1
    for part in target.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if target.startswith("/") or depth < 0 or not target:
            raise RunnerError(
                422,
                "BAD_LINK",
                f"{'/'.join(parts)[:200]!r}: expected a symlink inside the checkout, came {target[:200]!r}",
            )


def _walk(folder: Path, exclude: frozenset[str]) -> Generator[tuple[Path, os.stat_result]]:
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        if entry.name in exclude or entry.name.lower() == ".git":
            continue
        status = entry.stat(follow_symlinks=False)
        path = Path(entry.path)
        yield path, status
        if stat.S_ISDIR(status.st_mode):
            with _opened_up(path, status):
                yield from _walk(path, exclude)


@contextlib.contextmanager
def _opened_up(folder: Path, status: os.stat_result) -> Generator[None]:
    """Make a folder readable that a command of our own UID left closed."""
    if status.st_uid == os.geteuid() and status.st_mode & 0o500 != 0o500:
        folder.chmod(status.st_mode | 0o700)
    yield


def _pack_one(tar: tarfile.TarFile, path: Path, name: str, status: os.stat_result) -> None:
    entry = tarfile.TarInfo(name)
    if stat.S_ISDIR(status.st_mode):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
    elif stat.S_ISLNK(status.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, os.fspath(Path(path).readlink())
        tar.addfile(entry)
    elif stat.S_ISREG(status.st_mode):
        if status.st_uid == os.geteuid() and not status.st_mode & 0o400:
            path.chmod(status.st_mode | 0o400)
        entry.size, entry.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as content:
            tar.addfile(entry, content)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all in it, also what was made unremovable by its modes; follows no link."""

    def open_up(_function: object, path: str, _error: object) -> None:
        parent = Path(path).parent
        parent.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            Path(path).chmod(0o700)
            shutil.rmtree(path)
        else:
            Path(path).unlink(missing_ok=True)

    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder, onerror=open_up)


def _remove_strays(uid: int, folders: Iterable[str], spare: frozenset[str] = frozenset()) -> None:
    """Remove what a command without namespaces left in folders where it may write."""
    for folder in folders:
        if not Path(folder).is_dir():
            continue
        for entry in Path(folder).iterdir():
            with contextlib.suppress(OSError):
                if entry.name not in spare and entry.lstat().st_uid == uid:
                    remove_tree(entry)


# ---------------------------------------------------------------------------------------------------------------------
# Running
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """A validated request to run something."""

    argv: list[str]
    env: dict[str, str]
    timeout_s: float
    stdin: bytes
    output_limit: int

    @classmethod
    def parse(cls, body: object) -> Order:
        """Check a request's body. Raises RunnerError naming the field."""
        if not isinstance(body, dict):
            raise RunnerError(400, "BAD_REQUEST", "expected a JSON object")
        fields = cast("dict[str, Any]", body)
        argv, env = fields.get("argv"), fields.get("env", {})
        timeout, limit = fields.get("timeout_s"), fields.get("output_limit", DEFAULT_OUTPUT_BYTES)
        try:
            stdin = base64.b64decode(fields.get("stdin", ""), validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise RunnerError(400, "BAD_REQUEST", f"stdin: expected base64: {error}") from error
        if not _is_argv(argv):
            raise RunnerError(400, "BAD_REQUEST", "argv: expected 1 to 256 texts without NUL")
        if not _is_env(env):
            raise RunnerError(400, "BAD_REQUEST", "env: expected at most 64 names with texts without NUL")
        timeout_s = _number("timeout_s", timeout, 0.001, MAX_TIMEOUT_S)
        return cls(argv, env, timeout_s, stdin, int(_number("output_limit", limit, 0, MAX_OUTPUT_BYTES)))


def _number(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most:
        return float(value)
    raise RunnerError(400, "BAD_REQUEST", f"{name}: expected a number from {least} to {most}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_argv(value: object) -> TypeGuard[list[str]]:
    if not isinstance(value, list):
        return False
    items = cast("list[object]", value)
    return 1 <= len(items) <= 256 and all(_is_text(item) for item in items) and items[0] != ""


def _is_env(value: object) -> TypeGuard[dict[str, str]]:
    if not isinstance(value, dict):
        return False
    items = cast("dict[str, object]", value)
    return len(items) <= 64 and all(ENV_NAME.fullmatch(k) and _is_text(v) for k, v in items.items())


@dataclass(frozen=True)
class Settings:
    """The command line, understood."""

    socket: Path
    root: Path
    token: bytes
    uid: int
    gid: int
    peers: frozenset[int]
    tools: tuple[str, ...]
    isolations: tuple[str, ...]
    bounds: Bounds


class Runs:
    """One command at a time, in the strongest isolation that works."""

    def __init__(self, settings: Settings, workspace: Workspace) -> None:
        self._settings, self._workspace = settings, workspace
        self.isolation = "none"
        self.busy = threading.Lock()
        self._cancel_r, self._cancel_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def choose_isolation(self) -> None:
        """Try the isolations, strongest first, with a command that does nothing."""
        for candidate in self._settings.isolations:
            self.isolation = candidate
            outcome = self.run(Order(["sh", "-c", ":"], {}, 20, b"", 4096), lambda _event: None, None)
            if outcome.get("exit") == 0:
                self._workspace.alone = candidate == "container"
                return
            log("warning", "isolation_not_possible", isolation=candidate, outcome=outcome)
        raise SystemExit(
            "expected an isolation in which a command runs; none of those tried did, see the log above"
        )

    def cancel(self) -> None:
        """End the command that is running, if one is."""
        os.write(self._cancel_w, b"x")

    def run(
        self, order: Order, emit: Callable[[dict[str, object]], None], caller: socket.socket | None
    ) -> dict[str, object]:
        """Run a command to its end and return the last event; output goes to `emit` while it comes.

        Ends early when the caller hangs up, on `cancel`, and when the time is over.
        """
        started = time.monotonic()
        with contextlib.suppress(BlockingIOError):
            os.read(self._cancel_r, 4096)
        process, status_r = self._start(order)
        try:
            ended, dropped = self._follow(process, order, emit, caller)
        finally:
            self._end(process)
        with os.fdopen(status_r, "rb") as pipe:
            report = cast("dict[str, object]", json.loads(pipe.read() or b"{}"))
        report["exit"] = ended if ended else report.get("exit", -signal.SIGKILL)
        return {**report, "seconds": round(time.monotonic() - started, 3), "dropped": dropped}

    def _start(self, order: Order) -> tuple[subprocess.Popen[bytes], int]:
        launch_r, launch_w = os.pipe()
        status_r, status_w = os.pipe()
        with tempfile.TemporaryFile(dir=self._settings.root) as stdin:
            stdin.write(order.stdin)
            stdin.seek(0)
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, "--launch", str(launch_r), str(status_w)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(launch_r, status_w),
                start_new_session=True,
                cwd="/",
                env={},
            )
        os.close(launch_r)
        os.close(status_w)
        with os.fdopen(launch_w, "wb") as pipe, contextlib.suppress(BrokenPipeError):
            pipe.write(json.dumps(self._launch(order).__dict__).encode())
        return process, status_r

    def _launch(self, order: Order) -> Launch:
        settings, workspace, bounds = self._settings, self._workspace, self._settings.bounds
        hidden = self.isolation in ("namespaces", "bubblewrap")
        path = ":".join([*(f"{tool}/bin" for tool in settings.tools), os.environ.get("PATH", os.defpath)])
        # a container's UID may have no name, and tools that ask for one fail: there it is given one
        env = {
            "PATH": path,
            "HOME": str(workspace.home),
            "LANG": "C.UTF-8",
            "TMPDIR": "/tmp" if hidden else str(workspace.temporary),  # noqa: S108 - the sandbox's own
            **({"USER": "bzzz", "LOGNAME": "bzzz"} if self.isolation == "container" else {}),
            **order.env,
        }
        processes = bounds.processes * (CONTAINED_PROCESSES if self.isolation == "container" else 1)
        if self.isolation not in ("namespaces", "user"):
            processes += _threads_of(
                os.getuid()
            )  # the limit counts all of a UID's, and this UID is not ours alone
        limits = {
            # data, not address space: runtimes such as V8, Go and the JVM reserve far more than they use
            "RLIMIT_DATA": bounds.memory_bytes,
            "RLIMIT_NPROC": processes,
            "RLIMIT_FSIZE": bounds.file_bytes,
            "RLIMIT_CPU": math.ceil(order.timeout_s) * (os.cpu_count() or 1) + 1,
            "RLIMIT_NOFILE": 4096,
            "RLIMIT_CORE": 0,
        }
        return Launch(
            isolation=self.isolation,
            argv=order.argv,
            env=env,
            cwd=str(workspace.checkout),
            uid=settings.uid,
            gid=settings.gid,
            visible=[*SYSTEM_PATHS, RESOLVER, *settings.tools, str(workspace.files)],
            writable=[str(workspace.checkout), str(workspace.home)],
            temporary=str(workspace.temporary),
            view=str(workspace.view),
            limits=limits,
        )

    def _follow(
        self,
        process: subprocess.Popen[bytes],
        order: Order,
        emit: Callable[[dict[str, object]], None],
        caller: socket.socket | None,
    ) -> tuple[str, int]:
        """Pass output on until the command has ended; return why it was ended early, and the bytes not passed on."""
        deadline = time.monotonic() + order.timeout_s
        left, dropped = order.output_limit, 0
        outputs = {
            cast("IO[bytes]", process.stdout).fileno(): "stdout",
            cast("IO[bytes]", process.stderr).fileno(): "stderr",
        }
        with selectors.DefaultSelector() as selector:
            for descriptor in (*outputs, self._cancel_r):
                selector.register(descriptor, selectors.EVENT_READ)
            if caller is not None:
                selector.register(caller, selectors.EVENT_READ)
            while (remaining := deadline - time.monotonic()) > 0:
                # a command that has closed its outputs may still be working
                ready = selector.select(min(remaining, 0.2 if outputs else 0.005))
                for key, _ in ready:
                    name = outputs.get(key.fd)
                    if (
                        name is None
                    ):  # the caller hung up (it has nothing more to say), or a wipe was asked for
                        return "cancelled", dropped
                    chunk = os.read(key.fd, 65536)
                    if not chunk:
                        selector.unregister(key.fd)
                        del outputs[key.fd]
                        continue
                    passed, dropped = chunk[:left], dropped + len(chunk[left:])
                    left -= len(passed)
                    if passed and not _emitted(emit, {name: base64.b64encode(passed).decode()}):
                        return "cancelled", dropped
                if not ready and process.poll() is not None:
                    return "", dropped
        return "timeout", dropped

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Whatever happened: afterwards nothing of the command is left."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(KILL_PATIENCE_S * 2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for stream in (process.stdout, process.stderr):
            cast("IO[bytes]", stream).close()
        self.kill_everything()

    def kill_everything(self) -> None:
        """Kill what a command started and its launcher did not end (a command of our own UID can kill its launcher)."""
        if self.isolation == "user":
            kill_user(self._settings.uid, self._settings.gid)
        if not kill_descendants():
            log(
                "error",
                "processes_left",
                expected="no process below the runner",
                found=len(descendants_of(os.getpid())),
            )


def _emitted(emit: Callable[[dict[str, object]], None], event: dict[str, object]) -> bool:
    try:
        emit(event)
    except OSError:  # the caller is gone, or has not read for CLIENT_PATIENCE_S
        return False
    return True


def _threads_of(uid: int) -> int:
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # our own entry is root's, since we are not dumpable
                if entry.stat().st_uid == uid or entry.name == str(os.getpid()):
                    count += sum(1 for _ in (entry / "task").iterdir())
    return count


# ---------------------------------------------------------------------------------------------------------------------
# HTTP
# ---------------------------------------------------------------------------------------------------------------------


class Limited:
    """The request's body as a file that ends where the body ends."""

    def __init__(self, source: io.BufferedIOBase, length: int) -> None:
        self._source, self.left = source, length

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes of what is left."""
        wanted = self.left if size < 0 else min(size, self.left)
        data = self._source.read(wanted)
        self.left = 0 if len(data) < wanted else self.left - len(data)
        return data


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection, one request."""

    protocol_version = "HTTP/1.1"
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = CLIENT_PATIENCE_S

    def address_string(self) -> str:
        """Return a name for a peer that has no address."""
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log requests as JSON like everything else."""
        log("debug", "http", request=(format % args)[:300])

    def do_GET(self) -> None:
        """Serve health and the packed checkout."""
        self._serve({"/healthz": self._health, "/workspace": self._pack})

    def do_PUT(self) -> None:
        """Take a checkout or a file."""
        self._serve({"/workspace": self._unpack, "/files/": self._put_file})

    def do_DELETE(self) -> None:
        """Kill and wipe."""
        self._serve({"/workspace": self._wipe})

    def do_POST(self) -> None:
        """Run."""
        self._serve({"/run": self._run})

    def _serve(self, routes: dict[str, Callable[[], None]]) -> None:
        self.close_connection = True
        self._path, _, query = self.path.partition("?")
        self._query = urllib.parse.parse_qs(query)
        route = "/files/" if self._path.startswith("/files/") else self._path
        try:
            self._check_peer()
            if self._path != "/healthz":
                self._check_token()
            routes.get(route, self._not_found)()
        except RunnerError as error:
            log("warning", "refused", code=error.code, message=str(error), route=route[:100])
            self._answer(error.status, {"error": {"code": error.code, "message": str(error)}})
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            log("info", "caller_gone", route=route[:100])

    def _not_found(self) -> None:
        came = f"{self.command} {self._path[:100]}"
        raise RunnerError(404, "NOT_FOUND", f"expected one of the runner's routes, came {came}")

    def _check_peer(self) -> None:
        raw = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        uid = struct.unpack("3i", raw)[1]
        if uid not in self.server.settings.peers:
            raise RunnerError(
                403,
                "FOREIGN_PEER",
                f"expected a caller with UID {sorted(self.server.settings.peers)}, came {uid}",
            )

    def _check_token(self) -> None:
        came = self.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(came, b"Bearer " + self.server.settings.token):
            raise RunnerError(
                401, "BAD_TOKEN", "expected Authorization: Bearer with the token of --token-file"
            )

    def _length(self, limit: int) -> int:
        text = self.headers.get("Content-Length", "")
        if not text.isascii() or not text.isdigit():
            raise RunnerError(411, "LENGTH_REQUIRED", "expected Content-Length")
        if int(text) > limit:
            raise RunnerError(413, "TOO_LARGE", f"expected at most {limit} bytes, came {text[:20]}")
        return int(text)

    @contextlib.contextmanager
    def _alone(self) -> Generator[None]:
        if not self.server.runs.busy.acquire(blocking=False):
            raise RunnerError(
                409, "BUSY", "a command is running or the workspace is changing: wait, or DELETE /workspace"
            )
        try:
            yield
        finally:
            self.server.runs.busy.release()

    def _health(self) -> None:
        runs = self.server.runs
        self._answer(200, {"ok": True, "isolation": runs.isolation, "busy": runs.busy.locked()})

    def _unpack(self) -> None:
        bounds = self.server.settings.bounds
        # a tar adds a 512-byte header and padding to each entry, and long names more headers
        body = Limited(self.rfile, self._length(bounds.workspace_bytes + bounds.workspace_files * 3072))
        with self._alone():
            self.server.runs.kill_everything()
            self.server.workspace.wipe()
            try:
                entries = self.server.workspace.unpack(cast("IO[bytes]", body))
            except RunnerError:
                self.server.workspace.wipe()
                raise
        while body.left:
            body.read(65536)
        self._answer(200, {"entries": entries, "path": str(self.server.workspace.checkout)})

    def _pack(self) -> None:
        names = self._query.get("exclude", [])[:100]
        with self._alone(), tempfile.TemporaryFile(dir=self.server.settings.root) as packed:
            self.server.workspace.pack(packed, frozenset(names))
            size = packed.tell()
            packed.seek(0)
            self._head(200, "application/x-tar", size)
            shutil.copyfileobj(packed, self.wfile, MIB)

    def _wipe(self) -> None:
        runs = self.server.runs
        end = time.monotonic() + 3 * KILL_PATIENCE_S
        while not runs.busy.acquire(timeout=0.05):
            runs.cancel()
            if time.monotonic() > end:
                raise RunnerError(409, "BUSY", "the command that is running could not be ended; try again")
        try:
            runs.kill_everything()
            self.server.check_socket()
            self.server.workspace.wipe()
        finally:
            runs.busy.release()
        self._answer(200, {"wiped": True})

    def _put_file(self) -> None:
        name = self._path.removeprefix("/files/")
        if not FILE_NAME.fullmatch(name):
            raise RunnerError(400, "BAD_NAME", "expected a name of letters, digits, dot, dash and underscore")
        data = self.rfile.read(self._length(MAX_FILE_BYTES))
        with self._alone():
            path = self.server.workspace.put_file(name, data)
        self._answer(200, {"path": str(path)})

    def _run(self) -> None:
        body = self.rfile.read(self._length(MAX_JSON_BYTES))
        try:
            order = Order.parse(json.loads(body))
        except (ValueError, RecursionError) as error:
            raise RunnerError(400, "BAD_REQUEST", f"expected JSON: {error}") from error
        with self._alone():
            self._head(200, "application/x-ndjson", None)
            last = self.server.runs.run(order, self._event, self.connection)
            self.server.check_socket()
            log("info", "ran", program=order.argv[0][:200], exit=last["exit"], seconds=last["seconds"])
            self._event(last)

    def _event(self, event: dict[str, object]) -> None:
        self.wfile.write(json.dumps(event).encode() + b"\n")

    def _answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._head(status, "application/json", len(data))
            self.wfile.write(data)

    def _head(self, status: int, kind: str, length: int | None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header(
            "Connection", "close"
        )  # where there is no length, the end of the connection is the end
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens on the socket; a thread a connection, at most CONNECTIONS of them."""

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(self, settings: Settings, workspace: Workspace, runs: Runs) -> None:
        self.settings, self.workspace, self.runs = settings, workspace, runs
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        before = os.umask(0o117)
        try:
            super().__init__(str(settings.socket), Handler)
        finally:
            os.umask(before)
        _share_with_group(settings.socket)
        self._identity = _identity_of(settings.socket)

    def check_socket(self) -> None:
        """See that the socket is still ours; a command of our own UID could have put its own in the place.

        Ends the process if not: whoever started it makes everything anew.
        """
        if _identity_of(self.settings.socket) != self._identity:
            log("error", "socket_replaced", socket=str(self.settings.socket))
            os._exit(1)
        if self.runs.isolation == "container":
            socket_path = self.settings.socket
            _remove_strays(os.geteuid(), (str(socket_path.parent),), frozenset({socket_path.name}))

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection when there is a place for it; the others wait in the socket's queue."""
        self._places.acquire()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and give its place back."""
        super().shutdown_request(request)
        self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        """Log a handler's bug; the server goes on."""
        log(
            "error",
            "handler_failed",
            error=repr(sys.exc_info()[1])[:500],
        )


# ---------------------------------------------------------------------------------------------------------------------
# Starting
# ---------------------------------------------------------------------------------------------------------------------


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """Understand the command line."""
    parser = argparse.ArgumentParser(
        prog="bzzz_runner", description="Runs commands in a workspace for an agent."
    )
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to serve")
    parser.add_argument(
        "--root", type=Path, required=True, help="folder of the workspace; what is in it is wiped"
    )
    parser.add_argument(
        "--token-file", type=Path, required=True, help="file with the token that callers must send"
    )
    parser.add_argument(
        "--user", "--uid", help="name or UID for commands; needed as root, another for each runner"
    )
    parser.add_argument(
        "--peer-uid",
        type=int,
        action="append",
        default=[],
        help="UID that may call, beside our own and root; with --contained in place of them",
    )
    parser.add_argument(
        "--tools", type=Path, action="append", default=[], help="folder that commands see; its bin is on PATH"
    )
    parser.add_argument(
        "--contained", action="store_true", help="a container of its own surrounds the runner"
    )
    parser.add_argument(
        "--isolation",
        choices=("namespaces", "bubblewrap", "user", "container", "none"),
        help="try this one only; default: the best",
    )
    parser.add_argument("--max-workspace-mb", type=int, default=512)
    parser.add_argument("--max-files", type=int, default=50_000)
    parser.add_argument("--memory-mb", type=int, default=4096, help="data of each process")
    parser.add_argument("--processes", type=int, default=512)
    parser.add_argument("--file-mb", type=int, default=1024, help="largest file that a command may write")
    return parser.parse_args(argv)


def settings_from(arguments: argparse.Namespace) -> Settings:
    """Make settings of arguments. Raises SystemExit that says what was expected."""
    root = os.geteuid() == 0
    if root and arguments.user is None:
        raise SystemExit(
            "running as root: expected --user, the UID for commands, e.g. --user 2000; another for each runner"
        )
    uid, gid = _ids_of(arguments.user) if root else (os.geteuid(), os.getegid())
    if root and uid == 0:
        raise SystemExit("--user: expected a UID other than root's")
    token = arguments.token_file.read_bytes().strip()
    if len(token) < 16:
        raise SystemExit(f"{arguments.token_file}: expected a token of at least 16 characters")
    folders = [sys.prefix, sys.base_prefix, *(str(tool.absolute()) for tool in arguments.tools)]
    tools = tuple(dict.fromkeys(os.path.normpath(f) for f in folders if not _is_below(f, SYSTEM_PATHS)))
    best = ["namespaces", "user"] if root else ["bubblewrap"] if shutil.which("bwrap") else []
    if arguments.contained:
        best.append("container")
    if not root:
        best.append("none")
    contained = arguments.contained or arguments.isolation == "container"
    peers = {0, os.geteuid(), *arguments.peer_uid} - ({uid} if root else set())
    if contained and arguments.peer_uid:
        peers = set(
            arguments.peer_uid
        )  # commands have our own UID and can read the token: it must not be enough
    return Settings(
        socket=arguments.socket.absolute(),
        root=arguments.root.absolute(),
        token=token,
        uid=uid,
        gid=gid,
        peers=frozenset(peers),
        tools=tools,
        isolations=(arguments.isolation,) if arguments.isolation else tuple(best),
        bounds=Bounds(
            workspace_bytes=arguments.max_workspace_mb * MIB,
            workspace_files=arguments.max_files,
            memory_bytes=arguments.memory_mb * MIB,
            processes=arguments.processes,
            file_bytes=arguments.file_mb * MIB,
        ),
    )


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def _ids_of(user: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError as error:
        if user.isdigit():
            return int(user), int(user)
        raise SystemExit(f"--user: expected a user of this system or a UID, came {user}") from error
    return entry.pw_uid, entry.pw_gid


def _identity_of(path: Path) -> tuple[int, int]:
    try:
        status = path.lstat()
    except OSError:
        return (0, 0)
    return status.st_dev, status.st_ino


def _share_with_group(path: Path) -> None:
    """Give a socket to its folder's group; a setgid folder (a pod's volume with an fsGroup) has done so already."""
    group = path.parent.stat().st_gid
    if path.lstat().st_gid != group:
        with contextlib.suppress(PermissionError):  # we are not in that group: then it stays with ours
            os.chown(path, -1, group)


def close_socket_folder(folder: Path, isolation: str) -> None:
    """See to it that a command's UID cannot enter the socket's folder. Raises SystemExit where it still could."""
    if isolation not in ("namespaces", "user"):
        return
    mode = folder.stat().st_mode
    if mode & 0o007:
        if folder.stat().st_uid != os.geteuid():
            raise SystemExit(f"{folder}: expected a folder of our own, or one closed to others (chmod o-rwx)")
        folder.chmod(stat.S_IMODE(mode) & ~0o007)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then kill and wipe."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    settings.root.mkdir(parents=True, exist_ok=True, mode=0o755)
    settings.socket.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    owner = (settings.uid, settings.gid) if os.geteuid() == 0 else None
    workspace = Workspace(settings.root, owner, settings.bounds)
    workspace.wipe()
    runs = Runs(settings, workspace)
    runs.choose_isolation()
    close_socket_folder(settings.socket.parent, runs.isolation)
    if runs.isolation == "none":
        log("error", "NO_ISOLATION", message=NO_ISOLATION)
    settings.socket.unlink(missing_ok=True)
    server = Server(settings, workspace, runs)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    print(
        json.dumps({"ready": True, "socket": str(settings.socket), "isolation": runs.isolation}), flush=True
    )
    stop.wait()
    server.shutdown()
    runs.cancel()
    with contextlib.suppress(RuntimeError):
        runs.busy.acquire(timeout=3 * KILL_PATIENCE_S)
    runs.kill_everything()
    workspace.wipe()
    settings.socket.unlink(missing_ok=True)
    log("info", "stopped")


def main() -> None:
    """Be the runner, or one of its launchers."""
    if sys.platform != "linux":
        raise SystemExit("expected Linux: the runner rests on its process and file isolation")
    prctl(_PR_SET_DUMPABLE, 0)  # commands may have our UID: no memory, environment or descriptors for them
    if len(sys.argv) == 4 and sys.argv[1] == "--launch":
        launch_main(int(sys.argv[2]), int(sys.argv[3]))
        return
    try:
        serve(settings_from(parse_arguments(sys.argv[1:])))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SystemExit(f"{error}: is another runner serving this socket?") from error
        raise SystemExit(f"cannot start: {error}") from error


if __name__ == "__main__":
    main()
