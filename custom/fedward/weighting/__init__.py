"""Weighting of site models: shares, schemes, history and the weighted sum (NumPy only)."""
