"""fedward: federated training of medical image models across hospitals, on NVIDIA FLARE."""

from importlib.metadata import version

__version__ = version("fedward")
