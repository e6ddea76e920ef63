"""Trains the embedded base: ``python -m loraspec_picturebook.train [STEP ...] --folder DIR``.

The steps, in order: ``vae`` (the autoencoder), ``unet`` (the U-Net with both text encoders), ``export`` (writes the
pipeline folder). Without a step all of them run. Each continues from its checkpoint in the folder, so a run that was
stopped is started again with the same command. Everything is seeded; on one machine, with the same number of processes
and library versions, the same command gives the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

VAE_STEPS, UNET_STEPS = 5000, 5000


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the steps named on the command line."""
    import argparse
    import sys

    from loraspec_picturebook.export import BASE

    parser = argparse.ArgumentParser(prog="python -m loraspec_picturebook.train", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help="vae, unet, export; default: all")
    parser.add_argument("--folder", type=Path, default=Path("build/picturebook"), help="checkpoints and logs, about 300 MB")
    parser.add_argument("--target", type=Path, default=BASE, help="where export writes (default: inside the package)")
    parser.add_argument("--vae-steps", type=int, default=VAE_STEPS)
    parser.add_argument("--unet-steps", type=int, default=UNET_STEPS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="train in this many processes, one core each (default: 2)")
    given = parser.parse_args(arguments)
    unknown = set(given.steps) - {"vae", "unet", "export"}
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: no such step; vae, unet or export")
    from loraspec_picturebook import train_unet, train_vae
    from loraspec_picturebook.training import run_together

    wanted = given.steps or ["vae", "unet", "export"]
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
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
