"""Five ways to break the promise on purpose. A harness that lets one of them pass proves nothing."""

from __future__ import annotations

import hashlib

MUTANTS = ("no fsync of files", "no fsync of folders", "written in place", "announced early", "digests not compared")


def break_it(name: str, faulty) -> None:
    """Apply a mutant in this process."""
    from loraspec.engine import checkpoint, commit, disk, store, takeup

    if name == "no fsync of files":
        faulty.skip_sync = "file"
    elif name == "no fsync of folders":
        faulty.skip_sync = "folder"
    elif name == "written in place":

        def in_place(path, *chunks):
            disk.make_folders(path.parent)
            return disk.write_new(path, *chunks)

        store.write_json.__kwdefaults__["write"] = in_place
        store.write_tensors.__kwdefaults__["write"] = in_place
    elif name == "announced early":
        original = commit.commit_epoch

        def early(run, epoch):
            files = []
            for path, tensors, metadata in commit._files(run, epoch, run.adapter.state()):
                files.append({"path": path, "sha256": hashlib.sha256(b"".join(store.tensor_chunks(tensors, metadata))).hexdigest()})
            run.files.journal.write("epoch", epoch=epoch, files=files)
            return original(run, epoch)

        commit.commit_epoch = early
    elif name == "digests not compared":
        takeup._wrong = lambda path, file: ""
        checkpoint.check = checkpoint.step_of
    else:
        raise ValueError(name)
