"""Classes that are taken from diffusers by name."""

import subprocess
import sys

SCRIPT = """
from transformers.utils import logging
from loraspec_guide.models.samplers import pipeline_class
before = logging.get_verbosity()
print(pipeline_class("StableDiffusionXLPipeline").__name__, logging.get_verbosity() == before)
"""


def test_pipelines_are_imported_without_noise():
    """What transformers says of torchvision concerns no pipeline of ours; its other warnings stay."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    assert done.stdout == "StableDiffusionXLPipeline True\n"
    assert "torchvision" not in done.stderr
