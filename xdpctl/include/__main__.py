"""Tells the directory of the headers, for a compiler's -I."""

import sys
from pathlib import Path

sys.stdout.write(f"{Path(__file__).parent}\n")
