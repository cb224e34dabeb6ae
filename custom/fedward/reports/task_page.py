"""What a task (segmentation, classification, pretext, ...) says on a report's page."""

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from fedward.networks.registry import CLASSIFICATION, CONTRAST, PRETEXT, SEGMENTATION, STRUCTURES
from fedward.reports.run_data import Run

MODULES = {
    SEGMENTATION: "fedward.reports.segmentation_page",
    CLASSIFICATION: "fedward.reports.classification_page",
    PRETEXT: "fedward.reports.pretext_page",
    STRUCTURES: "fedward.reports.structures_page",
    CONTRAST: "fedward.reports.contrast_page",
}


@dataclass(frozen=True)
class Section:
    """A section of the page: its template's name (also its anchor), its title in the list on top, and its heading."""

    id: str
    title: str
    heading: str


WEIGHTS = Section("weights", "Weights", "Weights")
HOSPITALS = Section("hospitals", "Hospitals", "Hospitals")
REMARKS = Section("remarks", "Warnings", "Warnings, refusals and missing results")
SETTINGS = Section("settings", "Settings", "Settings and versions")


@dataclass(frozen=True)
class TaskPage:
    """A task's part of the page.

    headline   the one sentence to take away, with the number of patients it rests on
    tiles      (value, what it is) of the figures on top
    sections   of the page, in order
    templates  section -> Jinja template, of those that only this task has
    values     what these templates show, by name
    quality    what the task calls the quality of a model
    about      what the line under the title says of the training; may be empty
    """

    headline: str
    tiles: list[tuple[str, str]]
    sections: tuple[Section, ...]
    templates: dict[str, str]
    values: dict[str, Any]
    quality: str
    about: list[str] = field(default_factory=list)


def task_page(run: Run) -> TaskPage:
    """The part of the page that the run's task gives."""
    page: TaskPage = import_module(MODULES[run.task]).make_page(run)
    return page
