"""Phantoms of chest X-rays: lungs, ribs, heart and diaphragm with findings that show, each in its own way.

They exist so that readers, checks, pretraining and classification run where no data are. Sizes, sides and strengths are
drawn at random; scanners differ in contrast, brightness, noise and marker. They support no scientific claim.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.xray_chest import Chest, Plane
from fedward.datasets.xray_phantom_findings import FINDINGS
from fedward.seeds import derive_seed


@dataclass(frozen=True)
class XrayScanner:
    """How one institution's images differ.

    contrast  factor on the distance from mid grey
    gamma     exponent of the grey levels, below 1 brighter
    noise     standard deviation of the noise, grey levels
    marker    where the side marker stands: x from -1 to 1, at the top
    """

    contrast: float = 1.0
    gamma: float = 1.0
    noise: float = 3.0
    marker: float = -0.85


def xray_scanner(number: int, seed: int) -> XrayScanner:
    """The scanner of institution `number`: drawn once for a seed."""
    rng = np.random.default_rng(derive_seed(seed, "X-ray scanner", number))
    marker = float(rng.choice([-0.85, 0.85]))
    return XrayScanner(rng.uniform(0.7, 1.15), rng.uniform(0.7, 1.4), rng.uniform(2.0, 7.0), marker)


def phantom_xray(
    person: int,
    exposure: int,
    size: int,
    findings: Iterable[str] = (),
    scanner: XrayScanner | None = None,
    lateral: bool = False,
) -> NDArray[np.uint8]:
    """One image (size, size) uint8 with findings of `FINDINGS`. `person` and `exposure` are seeds.

    Images of one person share the anatomy, and a finding its side, place and strength; the exposure sets position,
    breath and noise. A lateral image shows the size of the heart, fluid, and one shadow for all other findings.
    """
    rng = np.random.default_rng(exposure)
    chest = Chest(np.random.default_rng(derive_seed(person, "anatomy")), rng, size, findings)
    if lateral:
        chest.density = _from_the_side(chest, person, set(findings))
    else:
        for name in sorted(set(findings)):
            own = np.random.default_rng(derive_seed(person, name))
            strength = own.uniform(0.55, 1.0)
            without = chest.density.copy()
            FINDINGS[name](chest, own)
            chest.density = without + strength * (chest.density - without)
    return _developed(chest, rng, scanner or XrayScanner())


def _from_the_side(chest: Chest, person: int, findings: set[str]) -> Plane:
    """Density of a lateral view, the patient facing left."""
    x, y = chest.x, chest.y
    body = chest.ellipse(0, 0.2, 0.66, 1.15)
    floor = chest.base[0] - 0.12 + 0.3 * (x + 0.1) ** 2 + 0.25 * x
    lung = chest.ellipse(0.02, -0.15, 0.47, 0.68) * chest.below(y - floor)
    density = 0.03 + 0.55 * body - 0.34 * lung
    density += 0.06 * lung * np.maximum(np.cos(2 * np.pi * (y - 0.5 * x) / 0.17), 0) ** 2
    chest.fill(density, chest.ellipse(-0.2, 0.2, 0.85 * chest.heart, 0.26), 0.6)
    spine = chest.below(np.abs(x - 0.42 + 0.12 * y) - 0.09)
    density += 0.14 * spine * body * (0.75 + 0.25 * np.cos(2 * np.pi * y / 0.13))
    if "Effusion" in findings:
        chest.fill(density, lung * chest.below(floor - 0.2 - y) * chest.below(-x), 0.62)
    if findings - {"Effusion", "Cardiomegaly", "Emphysema", "Enlarged Cardiomediastinum"}:
        own = np.random.default_rng(derive_seed(person, "shadow"))
        place, radius = (own.uniform(-0.1, 0.2), own.uniform(-0.45, 0.0)), own.uniform(0.08, 0.18)
        density += 0.25 * chest.ellipse(*place, radius, radius) * lung
    result: Plane = density.astype(np.float32)
    return result


def _developed(chest: Chest, rng: np.random.Generator, scanner: XrayScanner) -> NDArray[np.uint8]:
    """Density as grey levels of a scanner, with its marker and noise."""
    marker = chest.below(np.maximum(np.abs(chest.x - scanner.marker), np.abs(chest.y + 0.9)) - 0.05)
    density = np.maximum(chest.density, 0.85 * marker)
    grey = np.clip(0.5 + scanner.contrast * (1.15 * density - 0.5), 0.02, 1) ** scanner.gamma
    noisy = np.rint(255 * grey + rng.normal(0, scanner.noise, grey.shape))
    pixels: NDArray[np.uint8] = np.clip(noisy, 0, 255).astype(np.uint8)
    return pixels
