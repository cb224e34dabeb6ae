"""Readers, checks, partitions and phantoms of the supported data sets."""
