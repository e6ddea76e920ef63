"""All cases. Whoever adds a class of cases imports its module here and takes it out of ``WAITING``."""

from __future__ import annotations

from corpus import captions_bad, images_bad, layout_bad, locks_bad, models_bad, plugins_bad, runs_bad, specs_bad

MODULES = (specs_bad, images_bad, captions_bad, layout_bad, locks_bad, models_bad, runs_bad, plugins_bad)
CASES = tuple(case for module in MODULES for case in module.CASES)
WANTED = {"S": 32, "I": 46, "C": 22, "D": 10, "M": 19, "R": 9, "P": 5}  # 143
WAITING: tuple[str, ...] = ()  # ids, or whole classes, that are not here yet
