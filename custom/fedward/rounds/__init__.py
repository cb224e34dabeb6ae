"""What a federated round decides and leaves behind: policy, spool, record, run folder (no FLARE, no torch)."""
