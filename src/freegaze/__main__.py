"""``python -m freegaze``, which is also what ``torchrun -m freegaze`` starts."""

from freegaze.cli import main

if __name__ == "__main__":
    main()
