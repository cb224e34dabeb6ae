"""What a run shows: live table, charts, overlays, one HTML page, comparisons."""
