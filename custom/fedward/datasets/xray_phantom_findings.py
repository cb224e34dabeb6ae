"""How each finding shows in a phantom chest; side, place and size are drawn from the finding's own generator."""

from collections.abc import Callable

import numpy as np

from fedward.datasets.xray_chest import LEFT, RIGHT, Chest


def nodule(chest: Chest, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 4)):
        side, x, y = chest.somewhere(rng)
        radius = rng.uniform(0.045, 0.065)
        chest.density += 0.34 * chest.ellipse(x, y, radius, radius) * chest.lungs[side]


def mass(chest: Chest, rng: np.random.Generator) -> None:
    side, x, y = chest.somewhere(rng)
    chest.density += 0.38 * chest.ellipse(x, y, rng.uniform(0.12, 0.17), rng.uniform(0.12, 0.17)) * chest.lungs[side]


def effusion(chest: Chest, rng: np.random.Generator) -> None:
    side = int(rng.integers(2))
    level = chest.base[side] - rng.uniform(0.16, 0.36)
    meniscus = level - 0.6 * (np.abs(chest.x - np.sign(chest.middle(side)) * 0.25)) ** 1.5
    chest.fill(chest.density, chest.below(meniscus - chest.y) * chest.lungs[side], 0.66)


def atelectasis(chest: Chest, rng: np.random.Generator) -> None:
    side, _, y = chest.somewhere(rng)
    slope, thickness = rng.uniform(-0.3, 0.3), rng.uniform(0.025, 0.04)
    for height in (y, y + 0.14):  # plates, and the loss of volume below them
        plate = chest.below(np.abs(chest.y - height - slope * (chest.x - chest.middle(side))) - thickness)
        chest.density += 0.26 * plate * chest.lungs[side]
    chest.fill(chest.density, chest.below(chest.base[side] - 0.2 - chest.y) * chest.lungs[side], 0.4)


def _cloud(chest: Chest, rng: np.random.Generator, radius: float, strength: float, frequency: float) -> None:
    side, x, y = chest.somewhere(rng)
    soft = np.exp(-(((chest.x - x) / radius) ** 2) - ((chest.y - y) / radius) ** 2)
    spots = np.clip(0.6 + 0.5 * chest.waves(rng, 10, frequency), 0, 1)
    chest.density += strength * soft * spots * chest.lungs[side]


def infiltration(chest: Chest, rng: np.random.Generator) -> None:
    for _ in range(2):
        _cloud(chest, rng, 0.28, 0.24, 24)


def pneumonia(chest: Chest, rng: np.random.Generator) -> None:
    _cloud(chest, rng, 0.3, 0.5, 10)


def consolidation(chest: Chest, rng: np.random.Generator) -> None:
    side = int(rng.integers(2))
    cut = rng.uniform(-0.3, -0.1)
    lobe = (
        chest.below(chest.y - cut)
        if rng.random() < 0.5
        else chest.below(cut - chest.y) * chest.below(chest.y - cut - 0.35)
    )
    chest.fill(chest.density, lobe * chest.lungs[side], 0.52)


def pneumothorax(chest: Chest, rng: np.random.Generator) -> None:
    side, gap = int(rng.integers(2)), rng.uniform(0.07, 0.12)
    inner, line = chest.lung(side, gap), chest.lung(side, gap - 0.03)
    chest.density -= 0.16 * np.clip(chest.lungs[side] - line, 0, 1)
    chest.density += 0.22 * np.clip(line - inner, 0, 1) * chest.lungs[side]


def edema(chest: Chest, rng: np.random.Generator) -> None:
    strength = rng.uniform(0.24, 0.32)
    for side in (RIGHT, LEFT):
        x = 0.6 * chest.middle(side)
        wing = np.exp(-(((chest.x - x) / 0.26) ** 2) - ((chest.y + 0.02) / 0.34) ** 2)
        chest.density += strength * wing * chest.lungs[side]


def fibrosis(chest: Chest, rng: np.random.Generator) -> None:
    net = np.abs(chest.waves(rng, 6, 45)) < 0.35
    for side in (RIGHT, LEFT):
        low = np.clip((chest.y - chest.base[side] + 0.7) / 0.5, 0, 1)
        chest.density += 0.2 * net * low * chest.lungs[side]


def pleural_thickening(chest: Chest, rng: np.random.Generator) -> None:
    side = int(rng.integers(2))
    outer = chest.below(-(chest.x - chest.middle(side)) * np.sign(chest.middle(side)) + 0.03)
    rim = np.clip(chest.lungs[side] - chest.lung(side, rng.uniform(0.05, 0.08)), 0, 1)
    chest.fill(chest.density, rim * outer, 0.62)


def hernia(chest: Chest, rng: np.random.Generator) -> None:
    x, y, radius = rng.uniform(-0.05, 0.08), chest.base[LEFT] - 0.12, rng.uniform(0.13, 0.17)
    chest.density += 0.16 * chest.ellipse(x, y, radius, radius)
    bubble = chest.ellipse(x, y, 0.75 * radius, 0.75 * radius) * chest.below(chest.y - y)
    chest.density -= 0.42 * bubble


def fracture(chest: Chest, rng: np.random.Generator) -> None:
    side, _, y = chest.somewhere(rng)
    x = chest.middle(side) + np.sign(chest.middle(side)) * 0.16
    chest.density += 0.34 * chest.ellipse(x, y, 0.09, 0.035)
    chest.density -= 0.3 * chest.ellipse(x, y, 0.015, 0.06)


def support_devices(chest: Chest, rng: np.random.Generator) -> None:
    path = 0.1 * np.sin(2.5 * chest.y + rng.uniform(0, 6)) - 0.12
    chest.density += 0.4 * chest.below(np.abs(chest.x - path) - 0.012) * chest.below(chest.y - 0.2)
    for _ in range(3):
        chest.density += 0.4 * chest.ellipse(rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.5), 0.04, 0.04)


def in_the_shape(chest: Chest, rng: np.random.Generator) -> None:
    """Cardiomegaly, emphysema and a wide mediastinum change the chest itself."""


FINDINGS: dict[str, Callable[[Chest, np.random.Generator], None]] = {
    "Atelectasis": atelectasis,
    "Cardiomegaly": in_the_shape,
    "Effusion": effusion,
    "Infiltration": infiltration,
    "Mass": mass,
    "Nodule": nodule,
    "Pneumonia": pneumonia,
    "Pneumothorax": pneumothorax,
    "Consolidation": consolidation,
    "Edema": edema,
    "Emphysema": in_the_shape,
    "Fibrosis": fibrosis,
    "Pleural_Thickening": pleural_thickening,
    "Hernia": hernia,
    "Enlarged Cardiomediastinum": in_the_shape,
    "Fracture": fracture,
    "Support Devices": support_devices,
}
