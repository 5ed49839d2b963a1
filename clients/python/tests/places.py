"""Where the tests find things."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
