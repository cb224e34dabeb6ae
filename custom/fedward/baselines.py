"""What federation is compared with: all training images in one place, and each hospital on its own.

Both are federations of one site in the plain loop, so they run the same trainer with the same seeds. Centralised
training takes as many optimiser steps a round as the hospitals take together, and keeps its optimiser from round to
round; a hospital alone does exactly what it would have done in the federation.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fedward.errors import UsageError
from fedward.loop import run_loop
from fedward.rounds.record import Record
from fedward.rounds.run_folder import RunFolder, read_json
from fedward.settings import RunSettings
from fedward.simulation import with_own_weights
from fedward.site_config import SiteConfig
from fedward.training.site import Site, state_folder
from fedward.training.task import SiteImages, get_task, join_sites
from fedward.training.trainer import steps_per_round

CENTRAL = "central"
OnRecord = Callable[[Record], None]


def run_central(
    settings: RunSettings,
    folder: RunFolder,
    images: Mapping[str, SiteImages],
    about: dict[str, Any],
    config: SiteConfig,
    on_record: OnRecord,
) -> None:
    """Train on all hospitals' training images together, in the run folder of an ordinary run with one site."""
    steps = sum(steps_per_round(len(part.train), settings.training) for part in images.values())
    training = replace(settings.training, local_epochs=None, local_steps=steps)
    settings = _alone(replace(settings, training=training), CENTRAL)
    joined = join_sites(get_task(settings), [images[site] for site in sorted(images)])
    site = Site(CENTRAL, settings, joined, config.threads, config.device, folder.state, config)
    run_loop(settings, folder, {CENTRAL: site}, about, config, on_record=on_record)


def run_local(
    settings: RunSettings,
    folder: RunFolder,
    images: Mapping[str, SiteImages],
    about: dict[str, Any],
    config: SiteConfig,
    on_record: OnRecord,
) -> None:
    """Train each hospital alone, in a run folder of its own under RUN; a finished hospital is not trained again.

    It begins with weights that it pretrained alone, where the settings name such ones.
    """
    for name in sorted(images):
        own, alone = RunFolder(folder.root / name), _alone(settings, name)
        if own.finished():
            if read_json(own.run).get("fingerprint") != alone.fingerprint():
                raise UsageError(f"{own.root} was trained with other settings: use them again, or another --out")
            continue
        kept = own.state if state_folder(name, alone, config) else None  # as its federated site: nothing, or there
        site = Site(name, alone, images[name], config.threads, config.device, kept, config)
        run_loop(
            alone, own, {name: site}, about, with_own_weights(config, alone.starting_weights, name), on_record=on_record
        )


def _alone(settings: RunSettings, site: str) -> RunSettings:
    """The settings of a run with one site, whose weight is always 1: the server need not measure anything.

    There is nobody to exchange features with either.
    """
    aggregation, contrast = replace(settings.aggregation, cost_source="site_validation"), settings.contrast
    if contrast is not None and contrast.exchange:
        contrast = replace(contrast, exchange=False, noise=0.0)
    return replace(settings, sites=(site,), min_sites=1, aggregation=aggregation, contrast=contrast)
