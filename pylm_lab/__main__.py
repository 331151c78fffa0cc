"""`python -m pylm_lab` is the command `pylm-lab`."""

import sys

from pylm_lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
