"""From a checkout that is not installed; what it does is in fastnst/commands/, in the file of this name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fastnst.__main__ import main

if __name__ == "__main__":  # not in the processes that multiprocessing starts
    sys.exit(main([Path(__file__).stem, *sys.argv[1:]]))
