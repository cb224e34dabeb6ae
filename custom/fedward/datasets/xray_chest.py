"""The anatomy of a phantom chest X-ray: body, lungs, ribs, spine, heart and diaphragm as a plane of densities."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]
RIGHT, LEFT = 0, 1  # the patient's sides: the right lung is on the left of the image


class Chest:
    """A chest under construction: `density` (S, S), about 0 air to 1 bone, in coordinates x, y from -1 to 1 (y down).

    lungs  soft masks (S, S) of the right and left lung, 0 to 1
    """

    def __init__(self, person: np.random.Generator, exposure: np.random.Generator, size: int, findings: Iterable[str]):
        findings = set(findings)
        line = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
        turn, scale = exposure.normal(0, 0.03), person.uniform(0.92, 1.08) * exposure.uniform(0.97, 1.03)
        x0, y0 = (line[None, :] - exposure.normal(0, 0.03)) / scale, (line[:, None] - exposure.normal(0, 0.03)) / scale
        self.x: Plane = (x0 * np.cos(turn) + y0 * np.sin(turn)).astype(np.float32)
        self.y: Plane = (y0 * np.cos(turn) - x0 * np.sin(turn)).astype(np.float32)
        self.edge = 4 / size
        inflated = "Emphysema" in findings
        self.width = person.uniform(0.26, 0.29) + 0.035 * inflated
        self.top = person.uniform(-0.8, -0.72)
        breath = exposure.normal(0, 0.02)
        self.base = [
            base + breath + 0.14 * inflated for base in (person.uniform(0.38, 0.46), person.uniform(0.42, 0.5))
        ]
        self.dome = 0.03 if inflated else 0.12
        self.heart = person.uniform(0.26, 0.3) * (0.8 if inflated else 1) * (1.55 if "Cardiomegaly" in findings else 1)
        self.mediastinum = person.uniform(0.1, 0.13) * (1.9 if "Enlarged Cardiomediastinum" in findings else 1)
        self.density = self._build(person)

    def _build(self, person: np.random.Generator) -> Plane:
        x, y = self.x, self.y
        body = self.below(np.maximum(np.abs(x) - 0.88, -0.95 + 0.7 * np.abs(x) ** 3 - y))
        body = np.maximum(body, self.below(np.abs(x) - 0.24))
        diaphragm = np.where(x < 0, self.floor(RIGHT), self.floor(LEFT))
        self.lungs = [self.lung(side) for side in (RIGHT, LEFT)]
        density = 0.03 + 0.5 * body + 0.14 * body * self.below(diaphragm - y)
        density -= 0.36 * (self.lungs[RIGHT] + self.lungs[LEFT])
        ribs = np.maximum(np.cos(2 * np.pi * (y + 0.35 * x**2 + 0.1) / person.uniform(0.15, 0.19)), 0) ** 2
        density += 0.08 * ribs * self.below(np.maximum(np.abs(x) - 0.78, np.maximum(-0.85 - y, y - 0.6)))
        for side in (-1, 1):
            clavicle = self.below(np.abs(y + 0.62 + 0.22 * (side * x - 0.1)) - 0.03) * self.below(0.1 - side * x)
            density += 0.1 * clavicle * body
        for side, hilum in ((RIGHT, -0.2), (LEFT, 0.2)):
            near = np.exp(-np.hypot(x - hilum, y) / 0.22)
            density += 0.16 * self.lungs[side] * near * np.maximum(self.waves(person, 12, 30), 0)
        vessels = self.below(np.abs(x) - self.mediastinum * (1 + 0.4 * np.maximum(y, 0)))
        heart = self.ellipse(0.35 * self.heart, self.base[LEFT] - 0.17, self.heart, 0.25)
        for mask, level in ((vessels, 0.62), (heart, 0.64)):
            self.fill(density, mask, level)
            self.lungs = [lung * (1 - mask) for lung in self.lungs]
        density += 0.1 * self.below(np.abs(x) - 0.06) * (0.75 + 0.25 * np.cos(2 * np.pi * y / 0.11))
        result: Plane = density.astype(np.float32)
        return result

    def below(self, distance: Plane) -> Plane:
        """1 where `distance` is negative and 0 where it is positive, with an edge of two pixels."""
        mask: Plane = np.clip(0.5 - distance / self.edge, 0, 1)
        return mask

    def ellipse(self, x: float, y: float, rx: float, ry: float) -> Plane:
        away = np.sqrt(((self.x - x) / rx) ** 2 + ((self.y - y) / ry) ** 2)
        return self.below((away - 1) * min(rx, ry))

    def middle(self, side: int) -> float:
        return (-0.12 - self.width) if side == RIGHT else (0.12 + self.width)

    def floor(self, side: int) -> Plane:
        """Height y of the diaphragm at each x."""
        height: Plane = self.base[side] - self.dome * (
            1 - np.minimum(((self.x - self.middle(side)) / self.width) ** 2, 2)
        )
        return height

    def lung(self, side: int, shrink: float = 0.0) -> Plane:
        """Soft mask of a lung, smaller by `shrink` from the chest wall inwards."""
        height = (self.base[side] - self.top) / 2 + 0.15
        shape = np.abs((self.x - self.middle(side)) / (self.width - shrink)) ** 2.5
        shape += np.abs((self.y - self.top - height) / (height - shrink)) ** 2.5
        return self.below(np.maximum((shape**0.4 - 1) * (self.width - shrink), self.y - self.floor(side)))

    def waves(self, rng: np.random.Generator, count: int, frequency: float) -> Plane:
        """A smooth random pattern of up to `frequency` radians a unit, mean square about 1."""
        total: Plane = np.zeros_like(self.x)
        for angle, speed, phase in rng.uniform((0, 0.5, 0), (2 * np.pi, 1, 2 * np.pi), (count, 3)):
            total += np.cos(frequency * speed * (np.cos(angle) * self.x + np.sin(angle) * self.y) + phase)
        total *= float(np.sqrt(2 / count))
        return total

    @staticmethod
    def fill(density: Plane, mask: Plane, level: float) -> None:
        """Bring `density` to `level` where the mask is 1 and it is lower."""
        density += np.maximum(level - density, 0) * mask

    def somewhere(self, rng: np.random.Generator) -> tuple[int, float, float]:
        """A place well inside a lung, clear of heart and diaphragm: side, x, y."""
        side = int(rng.integers(2))
        outwards = self.middle(side) + (0.05 if side == LEFT else -0.02)
        return side, outwards + rng.uniform(-0.1, 0.1), rng.uniform(self.top + 0.3, self.base[side] - 0.35)
