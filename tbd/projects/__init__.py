"""From a folder of annotated images to the configs of a distillation."""

from tbd.projects.project import Project, new_project

__all__ = ["Project", "new_project"]
