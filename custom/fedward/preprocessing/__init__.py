"""Bias field correction, intensity normalisation and their cache."""
