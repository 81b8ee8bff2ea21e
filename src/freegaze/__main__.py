"""``python -m freegaze``, which is also what ``torchrun -m freegaze`` starts."""

from freegaze.cli.app import run

if __name__ == "__main__":
    run()
