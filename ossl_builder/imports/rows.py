"""Make the table rows of an imported corpus from the measurements and the release."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from ossl_builder.annotations import label_schema
from ossl_builder.corpus import Corpus
from ossl_builder.imports.measure import Measured
from ossl_builder.imports.release_format import Entry, Found, ReleasedFilm
from ossl_builder.splits.assign import FilmAssignment
from ossl_builder.splits.film_stats import FilmStats
from ossl_builder.splits.leaks import Leak, find_leaks
from ossl_builder.tables import Clip, Film, Label, Source, Split
from ossl_builder.tables.films import AUDIO_COLUMNS, FILE_COLUMNS
from ossl_builder.tables.labels import QUADRANTS
from ossl_builder.tables.splits import SPLIT_NAMES

RUSSELL = {
    "Q1": ("delighted", "excited"),
    "Q2": ("afraid", "annoyed", "distressed", "frustrated"),
    "Q3": ("sad", "gloomy", "depressed", "bored", "droopy"),
    "Q4": ("calm", "relaxed", "satisfied", "at ease", "content", "serene"),
}
BETWEEN = re.compile(r"\s*(?:[,;/&+]|\band\b)\s*")


def words_of_quadrants() -> dict[str, str]:
    """Return the quadrant of each mood word, with words in lower case."""
    schema = label_schema.bundled()
    quadrants = {word: quadrant for quadrant, words in RUSSELL.items() for word in words}
    for quadrant in QUADRANTS:
        quadrants[quadrant.lower()] = quadrant
        quadrants |= dict.fromkeys(_mood_words(schema.mood(quadrant)), quadrant)
    return quadrants


def quadrant_of(mood: str, words: dict[str, str]) -> str | None:
    """Return the quadrant of a mood; None: a word is unknown, or the words disagree.

    Args:
        mood: the text of the release, such as `happy, excited`.
        words: the quadrant of each mood word, from `words_of_quadrants`.
    """
    named = {words.get(word) for word in _mood_words(mood)}
    return named.pop() if len(named) == 1 else None


def _mood_words(mood: str) -> list[str]:
    return [word for word in BETWEEN.split(mood.strip().lower()) if word]


BASIS = "unknown"


def source_row(film: ReleasedFilm, layout: str, folder: str) -> Source:
    """Return the row of the sources table for a film; its rights are unknown.

    Args:
        film: the film in the release.
        layout: `ossl-v1` or `ossl-v2`.
        folder: name of the folder from which its clips were imported.
    """
    return Source(
        film_id=film.film_id,
        title=film.title,
        year=film.year,
        basis=BASIS,
        evidence=f"None: its clips were imported from {folder} ({layout}); its rights were not "
        "checked.",
        source=f"{layout}:{film.name}",
        alternates="",
        country="",
        licence="",
        sha256=None,
        is_claim=False,
        allow_unknown=False,
    )


def film_row(source: Source, verdict: str) -> Film:
    """Return the row of the films table for a film without a file: columns of the file are None."""
    return Film(
        film_id=source.film_id,
        title=source.title,
        year=source.year,
        basis=source.basis,
        evidence=source.evidence,
        is_claim=False,
        country="",
        source=source.source,
        chosen_file="",
        chosen_why="",
        original_sha1=None,
        licence_url=None,
        rights_statement=None,
        audio_duration_s=None,
        streams_other=None,
        verdict=verdict,
        **dict.fromkeys((*FILE_COLUMNS, *AUDIO_COLUMNS)),
    )


def media_path(entry: Entry, path: str) -> str:
    """Return the path of a clip's file, relative to the corpus."""
    ending = PurePosixPath(path).suffix.lower()
    return f"{Corpus.film_home(entry.film_id)}/clips/{entry.clip_id}{ending}"


def clip_row(entry: Entry, measured: Measured) -> Clip:
    """Return the row of a clip; its duration is that of its music, exact to the sample."""
    video, music = measured.video, measured.music
    return Clip(
        clip_id=entry.clip_id,
        film_id=entry.film_id,
        start_s=None,
        end_s=None,
        duration_s=music.duration_s,
        fps=video.n_frames / music.duration_s,
        fps_num=video.fps_num,
        fps_den=video.fps_den,
        n_frames=video.n_frames,
        width=video.width,
        height=video.height,
        video_path=media_path(entry, entry.video),
        video_sha256=measured.video_sha256,
        mix_path=None,
        mix_sha256=None,
        music_path=media_path(entry, entry.music),
        music_sha256=measured.music_sha256,
        dialogue_path=None,
        dialogue_sha256=None,
        sample_rate=music.sample_rate,
        n_samples=music.n_samples,
        cue_id=None,
        music_lufs=music.lufs,
        dialogue_share=None,
        first_scene_id=None,
        last_scene_id=None,
    )


def label_row(entry: Entry, words: dict[str, str]) -> Label | None:
    """Return the label row with a clip's released mood and caption; None: it has neither.

    Args:
        entry: the clip.
        words: the quadrant of each mood word, from `words_of_quadrants`.
    """
    if entry.mood is None and entry.caption is None:
        return None
    return Label(
        film_id=entry.film_id,
        clip_id=entry.clip_id,
        quadrant=None if entry.mood is None else quadrant_of(entry.mood, words),
        mood=entry.mood,
        rule="import",
        confidence=None,
        n_annotators=0,
        n_skipped=0,
        majority_quadrant=None,
        majority_share=None,
        dawid_skene_quadrant=None,
        dawid_skene_confidence=None,
        valence=None,
        energy=None,
        tension=None,
        music_audible=None,
        speech_over_music=None,
        mood_words="",
        caption=entry.caption,
        caption_source="none" if entry.caption is None else "import",
    )


def leaks_of(entries: Iterable[Entry]) -> tuple[Leak, ...]:
    """Return the films whose clips are in several splits of the release."""
    pairs = sorted({(entry.film_id, split) for entry in entries for split in entry.splits})
    return find_leaks(sorted(pairs, key=lambda pair: (pair[0], SPLIT_NAMES.index(pair[1]))), ())


def assigned(release: Found, film_ids: Iterable[str]) -> dict[str, FilmAssignment]:
    """Return the split of each of these films that the release assigns to at least one split.

    A film in several splits gets the split of most of its clips. If several splits have equally
    many, it gets the first of train, validation and test, because a film on which others have
    trained must not be in test.
    """
    counts: dict[str, Counter[str]] = {film_id: Counter() for film_id in sorted(film_ids)}
    for entry in release.entries:
        if entry.film_id in counts:
            counts[entry.film_id].update(entry.splits)
    assignments = {}
    for film_id, splits in counts.items():
        ordered = sorted(splits, key=lambda split: (-splits[split], SPLIT_NAMES.index(split)))
        if len(ordered) > 1:
            counts_text = ", ".join(f"{splits[split]} in {split}" for split in ordered)
            why = (
                f"{release.layout} has clips of this film in several splits ({counts_text}); all "
                "of them are put into the split of most."
            )
            assignments[film_id] = FilmAssignment(ordered[0], why)
        elif ordered:
            assignments[film_id] = FilmAssignment(
                ordered[0], f"All its clips are in this split in {release.layout}."
            )
    return assignments


def split_rows(facts: Iterable[FilmStats], splits: dict[str, FilmAssignment]) -> list[Split]:
    """Return one row per film; a film without a split in the release is in no split."""
    nowhere = FilmAssignment("", "The release does not say; `ossl split` gives it a split.")
    return [
        Split(
            film_id=film.film_id,
            split=splits.get(film.film_id, nowhere).split or None,
            why=splits.get(film.film_id, nowhere).why,
            group_id=film.film_id,
            n_clips=film.n_clips,
            duration_s=film.duration_s,
            quadrant=film.quadrant,
            length=film.length,
        )
        for film in facts
    ]


def unplaced_moods(release: Found, words: dict[str, str]) -> list[str]:
    """Return the moods without a definite quadrant, the most frequent first."""
    counts = Counter(
        entry.mood
        for entry in release.entries
        if entry.mood and quadrant_of(entry.mood, words) is None
    )
    return [mood for mood, _ in counts.most_common()]
