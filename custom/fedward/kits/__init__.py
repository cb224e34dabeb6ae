"""Startup kits: what `nvflare provision` made for one participant, read and checked without FLARE."""
