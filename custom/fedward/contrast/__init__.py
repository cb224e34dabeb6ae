"""Federated contrastive learning on volumes: hospitals exchange features (Wu et al. 2021, arXiv 2204.10983)."""
