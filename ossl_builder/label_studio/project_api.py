"""Requests about projects and users: find, create, change and delete projects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ossl_builder.label_studio.client import NO_SDK_RETRIES, Server, none_if_missing


@dataclass(frozen=True)
class Project:
    """A project on the server.

    Attributes:
        project_id: its id.
        title: its title; not unique.
        description: the text that its users see.
        label_config: the labelling page as XML.
        n_tasks: number of its tasks.
        overlap: how many annotators each task is for.
        shows_predictions: whether annotators see predictions.
    """

    project_id: int
    title: str
    description: str
    label_config: str
    n_tasks: int
    overlap: int
    shows_predictions: bool


@dataclass(frozen=True)
class User:
    """A user of the server."""

    email: str
    name: str


def get_project(server: Server, project_id: int) -> Project | None:
    """Return a project; None if the server does not have it."""
    response = none_if_missing(
        lambda: server.call(lambda: server.client.projects.get(id=project_id))
    )
    if response is None:
        return None
    return Project(
        project_id=int(response.id),
        title=response.title or "",
        description=response.description or "",
        label_config=response.label_config or "",
        n_tasks=int(response.task_number or 0),
        overlap=int(response.maximum_annotations or 1),
        shows_predictions=bool(response.show_collab_predictions),
    )


def projects_titled(server: Server, title: str) -> list[Project]:
    """Return the projects with exactly this title, oldest first; the server allows several."""

    def request() -> list[int]:
        # The server also returns titles that only contain this one.
        listed = server.client.projects.list(title=title, include="id,title", page_size=100)
        return [row.id for row in listed if row.title == title]

    projects = (get_project(server, project_id) for project_id in sorted(server.call(request)))
    return [project for project in projects if project is not None]


def create_project(
    server: Server,
    title: str,
    description: str,
    label_config: str,
    overlap: int,
    shows_predictions: bool,
) -> int:
    """Create a project, without retries.

    Args:
        title: 3 to 50 characters.
        description: the text that its users see.
        label_config: the labelling page as XML.
        overlap: how many annotators each task is for.
        shows_predictions: whether annotators see predictions.

    Returns:
        The project's id.

    Raises:
        TransferError: the project may exist or not.
        OsslError: see `client.response_error`.
    """
    response = server.call_once(
        lambda: server.client.projects.create(
            title=title,
            description=description,
            label_config=label_config,
            show_collab_predictions=shows_predictions,
            request_options={
                **NO_SDK_RETRIES,
                # The SDK has no argument for it.
                "additional_body_parameters": {"maximum_annotations": overlap},
            },
        )
    )
    return int(response.id)


def delete_project(server: Server, project_id: int) -> None:
    """Delete a project with all its tasks. A project that does not exist is no error."""
    none_if_missing(lambda: server.call(lambda: server.client.projects.delete(id=project_id)))


def update_project(server: Server, project_id: int, **fields: Any) -> None:
    """Set fields of a project: `label_config`, `description`, `show_collab_predictions`."""
    server.call(lambda: server.client.projects.update(id=project_id, **fields))


def set_overlap(server: Server, project_id: int, overlap: int) -> None:
    """Set how many annotators each task is for. The server does not update every task."""
    # The SDK has no argument for it.
    options = {"additional_body_parameters": {"maximum_annotations": overlap}}
    server.call(lambda: server.client.projects.update(id=project_id, request_options=options))


def count_tasks(server: Server, project_id: int) -> int:
    """Return the number of tasks of a project.

    Raises:
        TransferError: also if the project does not exist (status 404).
    """
    return int(server.call(lambda: server.client.projects.get(id=project_id)).task_number or 0)


def allow_local_files(server: Server, project_id: int, folders: Iterable[str]) -> None:
    """Let the server serve files in folders of its own machine, unless it already does.

    Args:
        folders: subfolders of the document root that the server was started with.

    Raises:
        OsslError: `request_refused`: the server was started without local files, or with another
            document root.
    """
    storages = server.client.import_storage.local
    existing = server.call(lambda: {row.path for row in storages.list(project=project_id)})
    for folder in sorted(set(folders) - existing):
        create = partial(
            storages.create,
            project=project_id,
            path=folder,
            title="clips of the corpus",
            use_blob_urls=True,
            request_options=NO_SDK_RETRIES,
        )
        server.call(create)


def users(server: Server) -> dict[int, User]:
    """Return the server's users by id."""
    return {
        row.id: User(
            email=row.email or "", name=f"{row.first_name or ''} {row.last_name or ''}".strip()
        )
        for row in server.call(lambda: list(server.client.users.list()))
    }
