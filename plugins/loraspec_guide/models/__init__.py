"""Model families ``sdxl`` and ``sd15``."""
