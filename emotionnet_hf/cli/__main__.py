"""`python -m emotionnet_hf.cli`."""

import sys

from emotionnet_hf.cli import main

if __name__ == "__main__":
    sys.exit(main())
