"""How large a download will be, from a sample of its rows.  Pure."""

from __future__ import annotations

import zlib

SAMPLE_ROWS = 200
_ZIPPED_SMALLER = 0.85  # a long file shrinks somewhat more than its first rows do


def zipped_size(sample: str, sample_rows: int, rows: int) -> int | None:
    """Bytes of a zipped CSV of so many rows that are like the sample's; None without a sample."""
    if not sample or sample_rows <= 0:
        return None
    packed = len(zlib.compress(sample.encode(), 6))
    if rows <= sample_rows:
        return packed
    return round(packed * rows / sample_rows * _ZIPPED_SMALLER)
