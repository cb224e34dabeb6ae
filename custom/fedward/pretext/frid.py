"""FRID: BYOL with two parts that can be taken out, both our reading of a description (docs/methods.md, "FRID").

The SR layer is an argument of the network (`sr_layer`, fedward.pretext.sr_layer) and is mirrored by the target network
like every other weight. The edge view is a setting (`edge`, fedward.pretext.edge). Without both this is BYOL.
"""

from fedward.pretext.byol import BYOL


class FRID(BYOL):
    """BYOL's loss and target network on FRID's network and views."""
