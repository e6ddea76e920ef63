"""``python -m loraspec``."""

from loraspec.cli import main

if __name__ == "__main__":
    main(prog_name="loraspec")
