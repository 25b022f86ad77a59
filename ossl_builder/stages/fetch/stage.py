"""The fetch stage: get a film's file from its recorded source, verify it, measure it."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ossl_builder.engine import records
from ossl_builder.engine.cache import UNSHAPING
from ossl_builder.engine.settings import Settings
from ossl_builder.engine.stage import Item, Notice, Outcome, Stage
from ossl_builder.errors import OsslError, Rejected
from ossl_builder.net.retry import USER_AGENT, RetryPolicy
from ossl_builder.stages.fetch.download_source import (
    METADATA,
    SourceFile,
    download_source,
    local_path,
)
from ossl_builder.stages.fetch.length_check import length_differences
from ossl_builder.tables import FILMS, Film, Source

if TYPE_CHECKING:
    from ossl_builder.media.probe import Probed
    from ossl_builder.net.archive_item import Site
    from ossl_builder.net.stall_guard import Limits

# After these errors the user needs another source.
GONE = frozenset(
    ("access_refused", "file_missing", "film_in_parts", "item_missing", "no_film", "source_gone")
)

__all__ = ["FETCH_STAGE", "FetchSettings", "fetch_film", "local_path"]


def _setting(default: Any, description: str, **limits: Any) -> Any:
    # Transfer settings do not change the file, so a change of them makes no fetched film stale.
    return Field(default, description=description, json_schema_extra=UNSHAPING, **limits)


class FetchSettings(Settings):
    """Section `fetch` of a recipe: how films are transferred into the corpus."""

    max_gb: float = _setting(50.0, "a larger file is not downloaded (GB)", gt=0)
    from_dir: str | None = _setting(
        None, "folder to take films from, by checksum or name; the network is not used then"
    )
    archive_url: str = _setting(
        "https://archive.org", "the Internet Archive, or a mirror of it", pattern="^https?://"
    )
    archive_node_url: str = _setting(
        "https://{server}",
        "address of the Archive's node {server}; empty: only archive_url is used",
        pattern="^(https?://.*)?$",
    )
    extractors: tuple[str, ...] = _setting(
        ("default",), "yt-dlp's extractors that may be used for other sites (names or patterns)"
    )
    user_agent: str = _setting(
        USER_AGENT, "the header `User-Agent` of requests to the Archive", min_length=1
    )
    downloads: int = _setting(2, "downloads at a time, over all corpora of a user", ge=1, le=8)
    tries: int = _setting(6, "maximum attempts per address", ge=1)
    wait_s: float = _setting(
        2.0, "first pause after a failure; each further pause is twice as long (s)", ge=0
    )
    max_wait_s: float = _setting(
        600.0, "longest pause; if a server requests a longer one, do not retry (s)", ge=0
    )
    stall_s: float = _setting(
        30.0, "abort a connection that receives nothing for this long (s)", gt=0
    )
    min_kbps: float = _setting(
        200.0, "abort a connection slower than this (kilobits per second)", ge=0
    )
    slow_s: float = _setting(60.0, "period over which that speed is measured (s)", gt=0)
    length_tolerance_s: float = _setting(
        2.0, "a film whose length differs more from the stated length fails (s)", ge=0
    )
    # The result depends on it: a changed limit must make an earlier rejection stale.
    max_length_difference: float = Field(
        0.1,
        description="a film is rejected if the lengths of its video, its audio and their packets "
        "differ by more than this part; beyond 1 % or 2 s they are a warning",
        ge=0,
    )
    video_stream: int | str | dict[str, int | str] | None = Field(
        None,
        description="the film's video stream: an index among all streams of the file, a language "
        "(`eng`), or one of them per film (`{my-film: 2}`); empty: the rules decide",
    )
    audio_stream: int | str | dict[str, int | str] | None = Field(
        None, description="the film's audio stream, in the same way"
    )

    @property
    def max_bytes(self) -> int:
        """`max_gb` in bytes."""
        return int(self.max_gb * 1e9)

    def retry_policy(self) -> RetryPolicy:
        """Return the retry policy for servers."""
        return RetryPolicy(self.stall_s, self.tries, self.wait_s, self.max_wait_s)

    def limits(self) -> Limits:
        """Return the limits of size and speed of a download."""
        from ossl_builder.net.stall_guard import Limits

        return Limits(self.max_bytes, self.stall_s, 1000 * self.min_kbps / 8, self.slow_s)

    def site(self) -> Site:
        """Return the addresses of the Internet Archive."""
        from ossl_builder.net.archive_item import Site

        base = self.archive_url.rstrip("/")
        return Site(
            metadata_url=f"{base}/metadata/",
            search_url=f"{base}/advancedsearch.php",
            download_url=f"{base}/download/",
            node_url=self.archive_node_url,
            user_agent=self.user_agent,
            retry_policy=self.retry_policy(),
        )


def fetch_film(item: Item) -> Outcome:
    """Get a film's file into the corpus, verify and measure it.

    The file is named `<film id><extension>`, with the extension of its container. If the source
    has metadata, it is written to `metadata.json` in the same folder.

    Raises:
        OsslError: from the source: `source_missing`, `not_in_folder`, `several_files`,
            `item_missing`, `archive_unreachable`, `file_missing`, `film_in_parts`,
            `no_film`, and those of `net.downloader`; from the file: `content_changed`,
            `file_empty`, `not_media`, `no_video`, `truncated`, `video_undecodable`,
            `length_differs`, `stream_missing`.
        Rejected: `lengths_differ`.
    """
    from ossl_builder.media.file_type import extension

    (source,) = item.rows["sources"]
    try:
        obtained = download_source(item, source, _last_film(item, source))
    except OsslError as error:
        if error.code in GONE and source.alternates:
            hint = f"{error.hint} The film is also known from {source.alternates}."
            raise OsslError(error.code, error.message, hint) from error
        raise
    try:
        probed = _measure(source, obtained, item)
    except (OsslError, Rejected):
        # The file is complete but not a film: a retry would not help, so do not resume it.
        obtained.path.unlink()
        raise
    path = item.folder / f"{source.film_id}{extension(obtained.path)}"
    obtained.path.replace(path)
    for leftover in item.folder.iterdir():
        if leftover != path:
            leftover.unlink()
    if obtained.metadata is not None:
        (item.folder / METADATA).write_bytes(obtained.metadata)
    return Outcome(
        rows=(_row(source, obtained, probed, path.stat().st_size, item.path(path.name)),),
        warnings=_warnings(probed),
    )


def _warnings(probed: Probed) -> tuple[Notice, ...]:
    notices = [
        Notice("lengths_differ", difference.sentence.capitalize())
        for difference in length_differences(probed)
    ]
    if probed.media.has_time_jumps:
        notices.append(
            Notice(
                "times_corrected",
                "The timestamps of the file restart or jump; they were corrected.",
            )
        )
    return tuple(notices)


def _last_film(item: Item, source: Source) -> Film | None:
    """Return the film's row from its last successful fetch, if the source is the same.

    The row pins the film's SHA-256, even if a later fetch failed or the file is missing.
    """
    if not records.body_path(item.corpus, FETCH_STAGE.name, item.item_id).exists():
        return None
    for film in records.read_rows(item.corpus, FETCH_STAGE, item.item_id):
        if isinstance(film, Film) and film.source == source.source:
            return film
    return None


def _stream_setting(setting: Any, film_id: str) -> int | str | None:
    """Return the value for one film of a stream setting that may be a dict by film id."""
    value: int | str | None = setting.get(film_id) if isinstance(setting, dict) else setting
    return value


def _measure(source: Source, obtained: SourceFile, item: Item) -> Probed:
    """Measure a film's file; raise if it is not a film, or incomplete."""
    from ossl_builder.media.file_type import is_web_page
    from ossl_builder.media.probe import probe

    name = f"{source.film_id} ({source.source})"
    if is_web_page(obtained.path):
        raise OsslError(
            "not_media",
            f"{name} is a web page, not a film.",
            "Nothing was kept. Open it in a browser, and add the address of the film itself.",
        )
    try:
        probed = probe(
            obtained.path,
            lambda part: item.progress(0.5 + 0.5 * part),
            _stream_setting(item.config.video_stream, source.film_id),
            _stream_setting(item.config.audio_stream, source.film_id),
        )
    except OsslError as error:
        message = error.message.replace(obtained.path.name, name)
        raise OsslError(error.code, message, error.hint) from error
    video = probed.video
    if probed.is_truncated:
        raise OsslError(
            "truncated",
            f"{name} is cut off: it has {video.end_s - video.start_s:.1f} s of video,"
            " and its end is missing.",
            "Nothing was kept. Fetch or copy the whole file again, or choose another source.",
        )
    _check_length(name, obtained, probed, item.config.length_tolerance_s)
    differences = length_differences(probed)
    worst = max(differences, key=lambda difference: difference.part, default=None)
    if worst is not None and worst.part > item.config.max_length_difference:
        raise Rejected(
            "lengths_differ",
            f"{name}: {worst.sentence} Check the file; if it is right, raise "
            "fetch.max_length_difference.",
        )
    return probed


def _check_length(name: str, obtained: SourceFile, probed: Probed, tolerance_s: float) -> None:
    stated = obtained.length_s
    if stated is None:
        return
    video, audio = probed.video, probed.audio
    start_s, end_s = video.start_s, video.end_s
    if audio is not None:
        start_s, end_s = min(start_s, audio.start_s), max(end_s, audio.end_s)
    length_s = video.end_s - video.start_s
    if min(abs(length_s - stated), abs(end_s - start_s - stated)) > tolerance_s:
        raise OsslError(
            "length_differs",
            f"{name} lasts {length_s:.1f} s by its frames; its source states {stated:.1f} s.",
            "Nothing was kept. If the source is wrong, raise fetch.length_tolerance_s for this "
            "film; else choose another file or source.",
        )


def _row(source: Source, obtained: SourceFile, probed: Probed, size_bytes: int, path: str) -> Film:
    video, audio = probed.video, probed.audio
    duration = video.end_s - video.start_s
    is_address = source.licence.startswith(("http://", "https://"))
    return Film(
        film_id=source.film_id,
        title=source.title,
        year=source.year,
        basis=source.basis,
        evidence=source.evidence,
        is_claim=source.is_claim,
        country=source.country,
        source=source.source,
        chosen_file=obtained.chosen_file,
        chosen_why=obtained.chosen_why,
        original_sha1=obtained.original_sha1,
        licence_url=obtained.licence_url or (source.licence if is_address else None),
        rights_statement=obtained.rights_statement
        or (source.licence or None if not is_address else None),
        path=path,
        sha256=obtained.sha256,
        size_bytes=size_bytes,
        duration_s=duration,
        n_packets=video.n_packets,
        fps=video.n_packets / duration,
        fps_num=video.rate.numerator,
        fps_den=video.rate.denominator,
        is_variable_rate=video.is_variable_rate,
        width=video.width,
        height=video.height,
        sar_num=video.sar.numerator,
        sar_den=video.sar.denominator,
        is_interlaced=video.is_interlaced,
        video_codec=video.codec,
        audio_codec=audio.codec if audio else None,
        audio_sample_rate=audio.sample_rate if audio else None,
        audio_channels=audio.channels if audio else None,
        audio_offset_s=audio.start_s - video.start_s if audio else None,
        audio_duration_s=audio.end_s - audio.start_s if audio else None,
        video_stream=probed.media.video,
        audio_stream=probed.media.audio if audio else None,
        streams_why=probed.streams_why,
        streams_other=probed.streams_other or None,
        has_time_jumps=probed.media.has_time_jumps,
    )


def _tools(config: Any) -> dict[str, str]:
    return {"av": version("av")}


FETCH_STAGE = Stage(
    name="fetch",
    version=3,
    reads=("sources",),
    writes=FILMS,
    config=FetchSettings,
    run=fetch_film,
    folder="source",
    tools=_tools,
    resumes=True,
)
