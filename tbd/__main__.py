"""``python -m tbd``: the same as the ``tbd`` command."""

from tbd_command import main

if __name__ == "__main__":
    main()
