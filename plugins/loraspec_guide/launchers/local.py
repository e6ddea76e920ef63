"""The launcher that starts nothing: the run happens in the calling process."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Local:
    """Call ``work`` here; ``command`` would do the same in another process and is not used."""

    def launch(self, work: Callable[[], int], *, command: Sequence[str]) -> int:
        """Do the work and return its exit code."""
        return work()
