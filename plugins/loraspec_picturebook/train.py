"""Trains the embedded base: ``python -m loraspec_picturebook.train [STEP ...] --folder DIR``.

The steps, in order: ``vae`` (the autoencoder), ``unet`` (the U-Net with both text encoders), ``export`` (writes the
pipeline folder), ``reader`` (the small model behind ``picturebook-margin``; three quarters of an hour, always from its start). Without
a step all of them run. ``vae`` and ``unet`` continue from their checkpoints in the folder, so a run that was stopped is
started again with the same command. Everything is seeded; on one machine, with the same number of processes and library
versions, the same command gives the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

VAE_STEPS, UNET_STEPS = 5000, 5000
STEPS = ("vae", "unet", "export", "reader")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the steps named on the command line."""
    import argparse
    import sys

    from loraspec_picturebook.export import BASE
    from loraspec_picturebook.reader import WEIGHTS

    parser = argparse.ArgumentParser(prog="python -m loraspec_picturebook.train", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help="vae, unet, export, reader; default: all")
    parser.add_argument("--folder", type=Path, default=Path("build/picturebook"), help="checkpoints and logs, about 300 MB")
    parser.add_argument("--target", type=Path, default=BASE, help="where export writes (default: inside the package)")
    parser.add_argument("--reader", type=Path, default=WEIGHTS, help="where reader writes (default: inside the package)")
    parser.add_argument("--vae-steps", type=int, default=VAE_STEPS)
    parser.add_argument("--unet-steps", type=int, default=UNET_STEPS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="train in this many processes, one core each (default: 2)")
    given = parser.parse_args(arguments)
    unknown = set(given.steps) - {*STEPS}
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: no such step; {', '.join(STEPS)}")
    from loraspec_picturebook import train_unet, train_vae
    from loraspec_picturebook.training import run_together

    wanted = given.steps or STEPS
    if "vae" in wanted:
        work = partial(train_vae.train, given.folder, steps=given.vae_steps, seed=given.seed)
        run_together(work, given.processes, given.folder)
    if "unet" in wanted:
        train_unet.encode_pool(given.folder, seed=given.seed)
        train_unet.fresh_modules(given.seed, given.folder)
        work = partial(train_unet.train, given.folder, steps=given.unet_steps, seed=given.seed)
        run_together(work, given.processes, given.folder)
    if "export" in wanted:
        from loraspec_picturebook.export import export

        size = export(given.folder, given.target, seed=given.seed)
        sys.stdout.write(f"{given.target}: {size / 2**20:.1f} MiB of weights\n")
    if "reader" in wanted:
        from loraspec_picturebook import train_reader

        def say(step: int, loss: float, right: float) -> None:
            sys.stdout.write(f"step {step} of {train_reader.STEPS}  loss {loss:.3f}  captions found {right:.0%}\n")

        train_reader.train(given.reader, log=say)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
