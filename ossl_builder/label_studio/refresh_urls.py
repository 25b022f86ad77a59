"""New addresses for the clips of tasks that are there already: renewed, or moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ossl_builder.label_studio import tasks
from ossl_builder.label_studio.client import Server
from ossl_builder.label_studio.clip_urls import Addresses
from ossl_builder.label_studio.rows import Project
from ossl_builder.tables import Clip


@dataclass(frozen=True)
class Relink:
    """A task that is to get another address.

    Attributes:
        task_id: the task.
        clip_id: its clip.
        data: the task's data with the new address.
        before: the address it has.
    """

    task_id: int
    clip_id: str
    data: dict[str, Any]
    before: str

    @property
    def after(self) -> str:
        """The address it gets."""
        return str(self.data["video"])


def plan(
    server: Server, found: Project, clips: list[Clip], addresses: Addresses
) -> tuple[list[Relink], int]:
    """The tasks whose address is another, and how many have the right one; nothing is changed.

    Tasks of clips that are not given are left out.
    """
    by_id = {clip.clip_id: clip for clip in clips}
    wanted, right = [], 0
    for task in tasks.tasks(server, found.project_id):
        clip = by_id.get(task.clip_id)
        if clip is None:
            continue
        address = addresses.address_for(clip)
        before = str(task.data.get("video", ""))
        if address == before:
            right += 1
            continue
        data = {**task.data, "video": address}
        wanted.append(Relink(task.task_id, task.clip_id, data, before))
    return wanted, right


def relink(server: Server, wanted: Relink) -> None:
    """Give a task its new address; may be done twice.

    Raises:
        Setback: the server could not be had.
    """
    tasks.change_task(server, wanted.task_id, data=wanted.data)
