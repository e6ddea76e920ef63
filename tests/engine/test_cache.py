"""Caches that cannot be stale: named by content, verified at every read, safe for several writers, never a reason to fail."""

import errno
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from loraspec import cachefolder
from loraspec.cachefolder import cache_root, files, metadata_of, read_contents, seal
from loraspec.engine import cache as cache_module
from loraspec.engine.cache import Cache
from loraspec.engine.store import write_tensors
from loraspec.randomness import generator
from loraspec.recipes import Recipe

LATENTS = {"kind": "latents", "vae": "a" * 64, "torch": "1"}
PROMPTS = {"kind": "embeddings", "text encoders": "b" * 64, "torch": "1"}


def numbers(*index, shape=(4, 3, 3)):
    """Return normal numbers, float32."""
    return torch.from_numpy(generator(0, "cached", *index).standard_normal(shape, dtype=np.float32))


def latents(number, common=LATENTS):
    """Return a recipe with what belongs to it."""
    tensors = {"mean": numbers("mean", number), "std": numbers("std", number)}
    return Recipe(common, {"image": f"{number:064x}"}), tensors, {"name": f"{number}.png"}


def prompt(number):
    """Return a recipe with what belongs to it."""
    tensors = {"embeds": numbers("embeds", number, shape=(6, 5)).half(), "pooled": numbers("pooled", number, shape=(5,))}
    return Recipe(PROMPTS, {"tokens": f"{number:064x}"}), tensors, {}


@pytest.fixture
def said():
    """What the cache told."""
    return []


@pytest.fixture
def opened(said):
    """Open the cache as a new run does: ``opened() -> Cache``."""
    return lambda: Cache(cache_root(), said.append)


@pytest.fixture
def filled(opened):
    """Fill the cache with three latents and a pack of six prompts; return all of them."""
    cache = opened()
    entries = [latents(number) for number in range(3)] + [prompt(number) for number in range(6)]
    for recipe, tensors, facts in entries[:3]:
        cache.put([recipe], [tensors], [facts])
    cache.put(*(list(column) for column in zip(*entries[3:], strict=True)))
    return entries


def same(one, other):
    """Whether two tables of tensors are equal bit for bit."""
    return one.keys() == other.keys() and all(one[key].dtype == other[key].dtype and one[key].equal(other[key]) for key in one)


def stored():
    """Return the files of entries, sorted."""
    return sorted(file.path for file in files(cache_root()))


def test_entries_come_back_as_they_were(filled, opened, said):
    """Tensors with their dtypes, and facts; alone in a file or in a pack."""
    cache = opened()
    for recipe, tensors, facts in filled:
        entry = cache.get(recipe, name="it")
        assert same(entry.tensors, tensors)
        assert entry.facts == facts
    assert len(stored()) == 4
    assert cache.get(Recipe(LATENTS, {"image": "c" * 64}), name="it") is None
    assert cache.get(Recipe({**LATENTS, "torch": "2"}, filled[0][0].own), name="it") is None
    assert cache.damaged == said == []


def flips(count):
    """Return (file, place, bit) draws: half of them in headers, which are small."""
    for number in range(count):
        draw = generator(0, "flip", number)
        path = stored()[int(draw.integers(4))]
        size = path.stat().st_size
        end = read_contents(path).header.data_start if number % 2 else size
        yield path, int(draw.integers(end)), int(draw.integers(8))


def check_flip(filled, opened, path, place, bit):
    """Flip one bit, and see that a run notices, drops the file and reads nothing wrong; put the file back."""
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[place] ^= 1 << bit
    path.write_bytes(broken)
    cache = opened()
    read = [cache.get(recipe, name="it") for recipe, _, _ in filled]

    assert cache.damaged, f"{path.name}: bit {bit} of byte {place} was not noticed"
    assert all(entry is None or same(entry.tensors, tensors) for entry, (_, tensors, _) in zip(read, filled, strict=True))
    assert None in read
    assert not path.exists()
    path.write_bytes(whole)


def test_hundred_flipped_bits_are_noticed(filled, opened):
    """None is silent, wherever it is."""
    for flip in flips(100):
        check_flip(filled, opened, *flip)


@pytest.mark.slow
def test_every_byte_counts(filled, opened):
    """One bit of every byte, of a file with one entry and of a pack's header."""
    for path in (stored()[0], stored()[-1]):
        end = read_contents(path).header.data_start if path.name.startswith("pack-") else path.stat().st_size
        for place in range(end):
            check_flip(filled, opened, path, place, place % 8)


@pytest.mark.parametrize("length", [0, 7, 300, -1])
def test_cut_files_are_noticed(filled, opened, said, length):
    """Nothing, half a header, half of the numbers: told by what they were for."""
    for path in stored():
        data = path.read_bytes()
        path.write_bytes(data[:length])
    cache = opened()

    assert [cache.get(recipe, name=f"thing {number}") for number, (recipe, _, _) in enumerate(filled)] == [None] * 9
    cache.tell_damage()
    assert "thing 0, thing 1, thing 2" in said[0]
    assert "[W-CACHE-DAMAGED]" in said[0]


def test_swapped_and_foreign_entries_are_noticed(filled, opened):
    """A whole file in the place of another, of the same VAE or of another one, is not taken for it."""
    cache = opened()
    other = latents(0, {**LATENTS, "vae": "d" * 64})
    cache.put([other[0]], [other[1]], [other[2]])
    first, second = (cache._find(filled[number][0]) for number in (0, 1))
    shutil.copyfile(second, first)
    shutil.copyfile(cache._find(other[0]), second)
    cache = opened()

    assert cache.get(filled[0][0], name="first") is None
    assert cache.get(filled[1][0], name="second") is None
    assert cache.damaged == ["first", "second"]

    pack = cache._find(filled[-1][0])
    elsewhere = Recipe({**PROMPTS, "torch": "2"}, filled[-1][0].own)
    foreign = cache_root() / "embeddings" / elsewhere.context / pack.name
    foreign.parent.mkdir()
    shutil.copyfile(pack, foreign)
    cache = opened()
    assert cache.get(elsewhere, name="it") is None
    assert cache.damaged == ["a file of embeddings"]


def test_entry_of_another_layout_is_not_read(filled, opened, monkeypatch):
    """A file that another version wrote is made again."""
    recipe, tensors, facts = filled[0]
    cache = opened()
    path = cache._find(recipe)
    stacked = {name: tensor[None] for name, tensor in tensors.items()}
    shapes = {name: ("F32", tuple(tensor.shape)) for name, tensor in stacked.items()}
    metadata = metadata_of([recipe], [facts], [read_contents(path).digests[0]])
    write_tensors(path, stacked, seal(shapes, metadata))
    assert same(opened().get(recipe, name="it").tensors, tensors)

    write_tensors(path, stacked, seal(shapes, {**metadata, "layout": "1"}))
    cache = opened()
    assert cache.get(recipe, name="it") is None
    assert cache.damaged == ["it"]


def writer(rounds, errors):
    """Read and write the same entries again and again; count what is wrong."""
    wrong = []
    for number in range(rounds):
        cache = Cache(cache_root(), wrong.append)
        for entry in (latents(number % 3), latents(100 + number)):
            found = cache.get(entry[0], name="it")
            if found is not None and not same(found.tensors, entry[1]):
                wrong.append("torn")
            cache.put(*([part] for part in entry))
        pack = [prompt(number % 2 * 4 + row) for row in range(4)]
        cache.put(*(list(column) for column in zip(*pack, strict=True)))
        for recipe, tensors, _ in pack:
            found = cache.get(recipe, name="it")
            if found is None or not same(found.tensors, tensors):
                wrong.append("not there")
        wrong += cache.damaged
    errors.put(wrong)


def test_four_processes_share_a_cache():
    """Twenty rounds each over the same entries: no torn entry, no complaint, nothing left behind."""
    fork = multiprocessing.get_context("fork")
    errors = fork.Queue()
    processes = [fork.Process(target=writer, args=(20, errors)) for _ in range(4)]
    for process in processes:
        process.start()
    told = [errors.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()

    assert told == [[]] * 4
    assert len(stored()) == 23 + 2
    assert not [path for path in stored() if path.name.startswith(".")]


# -- what is thrown out ----------------------------------------------------------------------------------------------------


def test_longest_unused_goes_first(filled, opened, monkeypatch):
    """The number of the run that used a file last decides; the clock of the machine does not."""
    first, second, third = (entry[0] for entry in filled[:3])
    cache = opened()
    assert cache.get(second, name="it")
    assert cache.get(filled[-1][0], name="it")
    cache = opened()
    cache.get(first, name="it")
    size = sum(file.size for file in files(cache_root()))
    monkeypatch.setenv("LORASPEC_CACHE_MAX", str(size))
    cache = opened()
    entry = latents(50)
    cache.put(*([part] for part in entry))

    left = opened()
    assert left.get(third, name="it") is None
    assert left.get(first, name="it")
    assert left.get(entry[0], name="it")
    assert sum(file.size for file in files(cache_root())) <= size
    assert all(file.used < 100 for file in files(cache_root()))


def test_what_the_run_needs_stays(filled, opened, monkeypatch, said):
    """Neither what was read nor what will be asked for is thrown out; the cap holds all the same, and is told."""
    size = sum(file.size for file in files(cache_root()))
    monkeypatch.setenv("LORASPEC_CACHE_MAX", str(size))
    cache = opened()
    cache.get(filled[0][0], name="it")
    cache.needs(lambda: [recipe for recipe, _, _ in filled[1:]])
    new = [latents(60), latents(61)]
    for entry in new:
        cache.put(*([part] for part in entry))

    assert all(cache.get(recipe, name="it") for recipe, _, _ in filled)
    assert [cache.get(recipe, name="it") for recipe, _, _ in new] == [None, None]
    assert len(said) == 1
    assert "W-CACHE-FULL" in said[0]


def test_file_with_the_time_of_day_is_as_if_just_used(filled, opened, monkeypatch):
    """A cache that was copied, or a clock that was set, neither freezes an entry nor loses all of them."""
    cache = opened()
    path = cache._find(filled[0][0])
    os.utime(path, (2_000_000_000, 2_000_000_000))
    cachefolder.trim(cache_root(), 0, turn=5, needed=())

    assert stored() == [path]
    assert next(files(cache_root())).used == 5


def test_left_overs_of_killed_writers_go(filled, opened):
    """What was staged two runs ago is removed; what may still be written stays."""
    folder = stored()[0].parent
    (folder / ".new.part").touch()
    os.utime(folder / ".new.part", (4, 4))
    (folder / ".old.part").touch()
    os.utime(folder / ".old.part", (3, 3))
    cachefolder.trim(cache_root(), 10**9, turn=5, needed=())

    assert [path.name for path in stored() if path.name.startswith(".")] == [".new.part"]


@pytest.mark.parametrize(("text", "size"), [("", 20 * 2**30), ("1.5 GiB", 3 * 2**29), ("20GB", 20 * 10**9), ("0", 0), ("4096", 4096)])
def test_cap_is_read(monkeypatch, text, size):
    """With decimal and binary units."""
    monkeypatch.setenv("LORASPEC_CACHE_MAX", text)
    assert cachefolder.cache_limit() == size


# -- a cache that cannot be used -------------------------------------------------------------------------------------------


def check_without(opened, said, word):
    """Nothing is kept, nothing is raised, and it is told once."""
    cache = opened()
    for number in range(3):
        entry = latents(70 + number)
        cache.put(*([part] for part in entry))
        assert cache.get(entry[0], name="it") is None
    assert len(said) == 1
    assert word in said[0]


def test_cache_of_another_user_is_refused(opened, said, monkeypatch):
    """Somebody else could have put anything into it."""
    opened()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    check_without(opened, said, "belongs to the user with the number")


def test_disk_that_refuses_is_told_once(opened, said, monkeypatch):
    """Read-only, full or broken: the run goes on without."""
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(cache_module, "write_tensors", refuse)
    check_without(opened, said, "Read-only file system")


def test_cache_in_the_place_of_a_file(opened, said, monkeypatch, tmp_path):
    """The folder cannot be made."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("LORASPEC_CACHE", str(tmp_path / "file"))
    check_without(opened, said, "cannot be written")


def test_nonsense_as_a_cap(opened, said, monkeypatch):
    """Is told, with what would be right."""
    monkeypatch.setenv("LORASPEC_CACHE_MAX", "much")
    check_without(opened, said, "'20 GiB'")


def test_disk_that_is_nearly_full_is_left_to_the_epochs(opened, said, monkeypatch):
    """The cache does not take the last bytes."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, cache_module.RESERVE))
    check_without(opened, said, "left to the epochs")


def test_no_cache_when_its_cap_is_nothing(opened, said, monkeypatch):
    """``LORASPEC_CACHE_MAX=0`` switches it off, silently."""
    monkeypatch.setenv("LORASPEC_CACHE_MAX", "0")
    cache = opened()
    entry = latents(1)
    cache.put(*([part] for part in entry))

    assert cache.get(entry[0], name="it") is None
    assert said == stored() == []


def test_folders_are_the_users_alone(filled, opened):
    """Whatever they were before."""
    cache_root().chmod(0o755)
    opened()

    assert cache_root().stat().st_mode & 0o777 == 0o700
    assert all(path.parent.stat().st_mode & 0o077 == 0 for path in stored())


# -- whole runs ------------------------------------------------------------------------------------------------------------


def epochs(outcome):
    """Return the bytes of the epoch files."""
    outcome.assert_success()
    return [path.read_bytes() for path in outcome.epoch_files]


def test_cold_warm_damaged_and_no_cache_train_the_same(run_spec, painted_spec, cache_counts, told, monkeypatch):
    """The cache changes no bit of the epoch files, whatever state it is in."""
    words = ("--set", "run.name=same", "--set", "data.repeats=1")
    cold = run_spec(painted_spec, *words, folder="cold")
    assert cache_counts(cold) == {"latents": (0, 4), "embeddings": (0, 4)}
    warm = run_spec(painted_spec, *words, folder="warm")
    assert cache_counts(warm) == {"latents": (4, 0), "embeddings": (4, 0)}
    for path in stored():
        data = bytearray(path.read_bytes())
        data[-5] ^= 4
        path.write_bytes(data)
    damaged = run_spec(painted_spec, *words, folder="damaged")
    assert cache_counts(damaged) == {"latents": (0, 4), "embeddings": (3, 1)}
    assert "4 cache entries were damaged and made again: 0.png, 1.png, 2.png, 3.png [W-CACHE-DAMAGED]" in told(damaged)
    assert "1 cache entry was damaged and made again: prompt 'picture" in told(damaged)
    assert cache_counts(run_spec(painted_spec, *words, folder="mended")) == {"latents": (4, 0), "embeddings": (4, 0)}
    monkeypatch.setenv("LORASPEC_CACHE_MAX", "0")
    without = run_spec(painted_spec, *words, folder="without")
    assert cache_counts(without) == {"latents": (0, 4), "embeddings": (0, 4)}

    assert epochs(cold) == epochs(warm) == epochs(damaged) == epochs(without)
    assert len(epochs(cold)) == 2
    rows = [(outcome.folder / "manifest.jsonl").read_text() for outcome in (cold, warm, damaged, without)]
    assert len(set(rows)) == 1


def touch(paint, folder):
    """Touch everything."""
    for path in folder.iterdir():
        os.utime(path, (1, 1))


def rename(paint, folder):
    """Rename an image with its caption."""
    (folder / "0.png").rename(folder / "z.png")
    (folder / "0.txt").rename(folder / "z.txt")


def remove(paint, folder):
    """Remove an image with its caption."""
    (folder / "3.png").unlink()
    (folder / "3.txt").unlink()


EDITS = {
    "touched": (touch, (4, 0), (4, 0)),
    "image edited": (lambda paint, _: paint(2, seed=99), (3, 1), (4, 0)),
    "caption edited": (lambda paint, _: paint(2, caption="a picture of my own"), (4, 0), (3, 1)),
    "added": (lambda paint, _: paint(7), (4, 1), (4, 1)),
    "removed": (remove, (3, 0), (3, 0)),
    "renamed": (rename, (4, 0), (4, 0)),
    "caption reordered": (lambda paint, _: paint(1, caption="noise, picture 1, by Nobody"), (4, 0), (3, 1)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_exactly_what_changed_is_made_again(run_spec, painted_spec, paint, cache_counts, edit):
    """Counted: latents (read, made) and embeddings (read, made) after each kind of edit."""
    change, of_latents, of_embeddings = EDITS[edit]
    run_spec(painted_spec, folder="before").assert_success()
    change(paint, painted_spec.parent / "pictures")

    assert cache_counts(run_spec(painted_spec, folder="after")) == {"latents": of_latents, "embeddings": of_embeddings}


def test_run_with_a_full_cache_keeps_what_it_needs(run_spec, painted_spec, paint, cache_counts, told, monkeypatch):
    """Room is made from what an earlier run left; latents and the prompts of every epoch of this run stay, and the cap holds."""
    painted_spec.write_text(painted_spec.read_text() + '\n[[captions.transforms]]\nuse = "shuffle"\n')
    run_spec(painted_spec, folder="earlier").assert_success()
    cap = sum(file.size for file in files(cache_root())) + 1500
    monkeypatch.setenv("LORASPEC_CACHE_MAX", str(cap))
    for number in range(4):
        paint(number, seed=number + 50)
    first = cache_counts(run_spec(painted_spec, folder="first"))
    assert first["latents"] == (0, 4)
    assert first["embeddings"][1] == 0
    assert sum(file.size for file in files(cache_root())) <= cap

    again = run_spec(painted_spec, folder="again")
    assert cache_counts(again)["latents"] == (4, 0)
    assert cache_counts(again)["embeddings"][1] == 0
    assert "W-CACHE" not in told(again)


@pytest.mark.slow
def test_four_runs_at_once_train_as_one_alone(run_spec, painted_spec, tmp_path):
    """Four processes with one empty cache: the epoch files of a run alone, and nothing damaged."""
    alone = epochs(run_spec(painted_spec, folder="alone"))
    shutil.rmtree(cache_root())
    site = os.pathsep.join(path for path in sys.path if path)
    commands = [
        [sys.executable, "-m", "loraspec", "run", str(painted_spec), "--set", f"run.output={tmp_path / f'at-once-{number}'}"]
        for number in range(4)
    ]
    processes = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": site}) for command in commands]
    assert [process.wait(timeout=300) for process in processes] == [0] * 4

    for number in range(4):
        folder = tmp_path / f"at-once-{number}"
        assert [path.read_bytes() for path in sorted((folder / "epochs").glob("*.safetensors"))] == alone
        assert "W-CACHE" not in Path(folder / "events.jsonl").read_text()
