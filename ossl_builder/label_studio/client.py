"""Label Studio, through its SDK: a project, its tasks, what labellers answered.

Whatever changes nothing, or the same when done twice, is asked until an answer comes. Tasks are
never sent again by themselves: the server knows no uniqueness, and an answer that was lost says
nothing of what it did (see `label_studio.push`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ossl_builder.errors import OsslError
from ossl_builder.label_studio.rows import Person, Project, person, project_row
from ossl_builder.label_studio.server_errors import setback_of, token_problem, url_invalid
from ossl_builder.net.http import refuse_password
from ossl_builder.net.retry import RetryPolicy, TransferError

TIMEOUT_S = 60.0  # the server ends a request after as long
PATIENCE = RetryPolicy(timeout_s=TIMEOUT_S, tries=5, wait_s=1.0, max_wait_s=120.0)

# The SDK would repeat by itself what must be sent once only.
ONCE = {"max_retries": 0}

Got = TypeVar("Got")


@dataclass(frozen=True)
class Server:
    """A server that may be asked; from `connect`.

    Attributes:
        url: its address, without a slash at its end.
        token: what it knows us by.
        client: the SDK's client.
        patience: for requests that may be repeated.
    """

    url: str
    token: str = field(repr=False)
    client: Any = field(repr=False)
    patience: RetryPolicy = PATIENCE

    def insist(self, ask: Callable[[], Got]) -> Got:
        """Ask until an answer comes; only for what may be done twice.

        Raises:
            Setback: the last attempt's.
            OsslError: see `setback_of`.
        """
        return self.patience.insist(lambda: self.once(ask))

    def once(self, ask: Callable[[], Got]) -> Got:
        """Ask one time.

        Raises:
            Setback: no answer came, or one that says "not now".
            OsslError: see `setback_of`.
        """
        import httpx
        from label_studio_sdk.core.api_error import ApiError

        try:
            return ask()
        except ApiError as error:
            # str(error) would show cookies: only its parts are looked at.
            raise setback_of(
                self.url, self.token, error.status_code, error.body, error.headers
            ) from None
        except httpx.TimeoutException as error:
            raise TransferError("stalled", "did not answer in time") from error
        except httpx.ConnectError as error:
            raise TransferError("unreachable", "cannot be reached") from error
        except httpx.HTTPError as error:
            raise TransferError("dropped", "broke off") from error
        # What came is not JSON, is nested without end, or is not what the SDK can read.
        except (ValueError, RecursionError) as error:
            raise TransferError(
                "dropped", "answered something that is not Label Studio's"
            ) from error


def connect(url: str, token: str, timeout_s: float = TIMEOUT_S) -> Server:
    """Prepare to ask a server; nothing is sent yet.

    Args:
        url: its address, as in the browser.
        token: a personal access token, or a legacy token where the server accepts those.
        timeout_s: an answer that takes longer is given up.

    Raises:
        OsslError: `server_url_invalid`, `address_has_password`, `token_incomplete`,
            `token_refused`.
    """
    import httpx
    from label_studio_sdk import LabelStudio
    from label_studio_sdk.core.api_error import ApiError

    refuse_password(url, is_server=True)
    incomplete = token_problem(token)
    if incomplete is not None:
        raise incomplete
    bare = url.strip().rstrip("/")
    try:
        scheme = httpx.URL(bare).scheme
    except httpx.InvalidURL as error:
        raise url_invalid(url) from error
    if scheme not in ("http", "https"):
        raise url_invalid(url)
    # Retrying is ours. The slash at the end keeps a path in the address when tokens are renewed.
    try:
        client = LabelStudio(base_url=f"{bare}/", api_key=token, timeout=timeout_s, max_retries=0)
    except ApiError as error:  # it looks into the token at once
        raise setback_of(bare, token, error.status_code, error.body, error.headers) from None
    return Server(bare, token, client)


def project(server: Server, project_id: int) -> Project | None:
    """A project; None if the server has none of this id."""
    return or_none(
        lambda: server.insist(lambda: project_row(server.client.projects.get(id=project_id)))
    )


def projects_titled(server: Server, title: str) -> list[Project]:
    """Projects of exactly this title, the oldest first; the server allows several."""

    def ask() -> list[int]:
        # The server's filter is by part of the title.
        found = server.client.projects.list(title=title, include="id,title", page_size=100)
        return [one.id for one in found if one.title == title]

    found = (project(server, project_id) for project_id in sorted(server.insist(ask)))
    return [one for one in found if one is not None]


def make_project(
    server: Server, title: str, description: str, page: str, opinions: int, shows_prelabels: bool
) -> int:
    """Make a project, asking once; its id.

    Args:
        title: 3 to 50 characters.
        description: shown to its users.
        page: the labelling page as XML.
        opinions: how many people are to answer each task.
        shows_prelabels: whether labellers see predictions.

    Raises:
        Setback: whether it was made is not known.
        OsslError: see `setback_of`.
    """
    made = server.once(
        lambda: server.client.projects.create(
            title=title,
            description=description,
            label_config=page,
            show_collab_predictions=shows_prelabels,
            request_options={
                **ONCE,
                # The SDK has no argument for it.
                "additional_body_parameters": {"maximum_annotations": opinions},
            },
        )
    )
    return int(made.id)


def remove_project(server: Server, project_id: int) -> None:
    """Delete a project with all its tasks; one that is gone already is no error."""
    or_none(lambda: server.insist(lambda: server.client.projects.delete(id=project_id)))


def change_project(server: Server, project_id: int, **fields: Any) -> None:
    """Set fields of a project: `label_config`, `description`, `show_collab_predictions`."""
    server.insist(lambda: server.client.projects.update(id=project_id, **fields))


def change_opinions(server: Server, project_id: int, opinions: int) -> None:
    """Set how many people are to answer each task; tasks follow, but not all of them."""
    # The SDK has no argument for it.
    options = {"additional_body_parameters": {"maximum_annotations": opinions}}
    server.insist(lambda: server.client.projects.update(id=project_id, request_options=options))


def n_tasks(server: Server, project_id: int) -> int:
    """How many tasks a project has now.

    Raises:
        Setback: also if the project is gone (status 404).
    """
    return int(server.insist(lambda: server.client.projects.get(id=project_id)).task_number or 0)


def allow_local_files(server: Server, project_id: int, folders: Iterable[str]) -> None:
    """Let the server hand out files below folders of its own machine, if it does not yet.

    Args:
        folders: must lie below the document root that the server was started with, strictly.

    Raises:
        OsslError: `request_refused`: the server was started without local files, or elsewhere.
    """
    storages = server.client.import_storage.local
    there = server.insist(lambda: {one.path for one in storages.list(project=project_id)})
    for folder in sorted(set(folders) - there):
        make = partial(
            storages.create,
            project=project_id,
            path=folder,
            title="clips of the corpus",
            use_blob_urls=True,
            request_options=ONCE,
        )
        server.insist(make)


def people(server: Server) -> dict[int, Person]:
    """The server's users by id."""
    found = server.insist(lambda: list(server.client.users.list()))
    return {one.id: person(one) for one in found}


def or_none(ask: Callable[[], Got]) -> Got | None:
    """What is asked for; None if the server has it no more."""
    try:
        return ask()
    except TransferError as setback:
        if setback.status == 404:
            return None
        raise


def gone(server: Server, setback: TransferError) -> OsslError:
    """The error for a server that gave no answer, after the last attempt."""
    if setback.status == 404:
        return OsslError(
            "project_gone",
            f"Label Studio at {server.url} {setback.said}: the project was deleted meanwhile.",
            "All that was pulled is kept. `ossl label push --new` makes a new project.",
        )
    asked = setback.asked_wait_s
    wait = f" It asks to be left alone for {asked:.0f} s." if asked else ""
    return OsslError(
        "server_unreachable",
        f"Label Studio at {server.url} {setback.said}.{wait}",
        "Nothing is lost: see that it runs, and give the same command again.",
    )
