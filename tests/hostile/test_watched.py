"""A run, killed and resumed, under watch: no socket, no unpickling, no other program, no file outside its folders."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from hostile.conftest import MEMORY, ROOT, Watched, environment, prepare

SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/share/zoneinfo/", "/usr/lib/", "/lib/")


def test_run_opens_no_socket(watched: Watched) -> None:
    """Every way to a socket raises, and none was tried: neither by the interpreter's events nor by the patched functions."""
    assert watched.seen["sockets"] == []


def test_run_unpickles_nothing(watched: Watched) -> None:
    """pickle, torch.load, torch.save and numpy.load raise; a run, its resume and its report need none of them."""
    assert watched.seen["pickle"] == []


def test_run_starts_no_program(watched: Watched) -> None:
    """No command is run, whatever a spec says."""
    assert watched.seen["programs"] == []


def test_run_writes_into_its_folder_and_its_cache_only(watched: Watched) -> None:
    """Every file that is opened for writing, made, moved or removed lies below the run's folder or the cache."""
    roots = (watched.folder, watched.place / "cache")
    changed = [Path(path) for path in (*watched.seen["written"], *watched.seen["changed"])]
    outside = [str(path) for path in changed if not any(path == root or path.is_relative_to(root) for root in roots)]
    ours = [path for path in changed if path.is_relative_to(watched.folder)]

    assert [path for path in outside if path not in ("/dev/null",)] == []
    assert len(ours) > 20, "the watch sees nothing"


def test_run_reads_what_it_was_given_only(watched: Watched) -> None:
    """The spec, its plugin file, its data, the run, the cache, installed code and the system's own files."""
    code = {ROOT, Path(sys.prefix), Path(sys.base_prefix), *(Path(path) for path in sysconfig.get_paths().values())}
    given = [watched.place / name for name in ("images", "run", "cache", "spec.toml", "stopper.py", "site-packages")]
    read = [Path(path) for path in watched.seen["read"]]
    other = [str(path) for path in read if not any(path == root or path.is_relative_to(root) for root in (*code, *given))]

    assert [path for path in other if not path.startswith(SYSTEM)] == []
    assert any(path.is_relative_to(watched.place / "images") for path in read), "the watch sees nothing"


WATCH_ITSELF = """
import sys
sys.path.insert(0, {tests!r})
from hostile.watched import Watch
watch = Watch()
import numpy, torch, os, pickle, socket, io
sys.addaudithook(watch.audit)
class Bomb:
    def __reduce__(self):
        return os.system, ("true",)
data = pickle.dumps(Bomb())
for act in (lambda: pickle.loads(data), lambda: socket.socket().connect(("127.0.0.1", 9)), lambda: os.system("true"),
            lambda: open({place!r}, "w")):
    try:
        act()
    except PermissionError:
        pass
watch.forbid()
for act in (lambda: torch.load({place!r}), lambda: numpy.load({place!r}), lambda: socket.create_connection(("localhost", 1))):
    try:
        act()
    except PermissionError:
        pass
assert all(watch.seen[kind] for kind in ("pickle", "sockets", "programs", "written")), watch.seen
assert {{"torch.load", "numpy.load"}} <= set(watch.seen["pickle"]), watch.seen
"""


def test_the_watch_sees_what_it_looks_for(tmp_path: Path) -> None:
    """A bomb, a connection, a command and a written file are each caught: the tests above can fail."""
    code = WATCH_ITSELF.format(tests=str(ROOT / "tests"), place=str(tmp_path / "x"))
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _strace_works() -> bool:
    found = shutil.which("strace")
    return bool(found) and subprocess.run([str(found), "-e", "trace=network", "true"], capture_output=True).returncode == 0


def _unshare_works() -> bool:
    found = shutil.which("unshare")
    return bool(found) and subprocess.run([str(found), "-n", "true"], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not _strace_works(), reason="no strace here, or it may not trace: apt-get install strace")
def test_strace_sees_no_network_call(tmp_path: Path) -> None:
    """Seen from the kernel: a run makes no call of the network family but sockets inside the machine that were never connected."""
    place = (MEMORY if MEMORY.is_dir() else tmp_path) / f"strace-{tmp_path.name}"
    place.mkdir()
    try:
        prepare(place)
        log = place / "calls.txt"
        command = ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(log), sys.executable, "-c",
                   "import sys; sys.path.insert(0, 'site-packages'); from loraspec.cli import main; main()",
                   "run", "spec.toml", "--set", "run.output=run"]  # fmt: skip
        done = subprocess.run(command, env=environment(place), cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        calls = [line for line in log.read_text().splitlines() if not line.rstrip().endswith(("+++", "---"))]
        assert [line for line in calls if "AF_INET" in line or "connect(" in line or "bind(" in line] == []
        assert [line for line in calls if "socket(" in line and "AF_UNIX" not in line and "AF_NETLINK" not in line] == []
    finally:
        shutil.rmtree(place)


@pytest.mark.slow
@pytest.mark.skipif(not _unshare_works(), reason="a network namespace of one's own is not permitted here")
def test_run_works_without_any_network(tmp_path: Path) -> None:
    """In a network namespace without a device, not even the loopback one, a run ends as it does elsewhere."""
    place = (MEMORY if MEMORY.is_dir() else tmp_path) / f"unshare-{tmp_path.name}"
    place.mkdir()
    try:
        prepare(place)
        command = ["unshare", "-n", sys.executable, "-c",
                   "import sys; sys.path.insert(0, 'site-packages'); from loraspec.cli import main; main()",
                   "run", "spec.toml", "--set", "run.output=run"]  # fmt: skip
        done = subprocess.run(command, env=environment(place), cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (place / "run" / "report.html").is_file()
    finally:
        shutil.rmtree(place)
