"""Derive labels from annotations: one row per annotated clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ossl_builder.annotations.answer_matrix import ClipKey, answered, counting
from ossl_builder.annotations.label_schema import LabelSchema
from ossl_builder.annotations.question import Question
from ossl_builder.annotations.records import Annotation, Answer
from ossl_builder.annotations.settings import LabelsSettings
from ossl_builder.tables import Clip, Label

# What lies closer than this together is a tie, and probabilities are rounded accordingly: the last
# bits differ between machines, the tables must not.
DECIMALS = 6


@dataclass(frozen=True)
class Consensus:
    """What people say together of one clip.

    Attributes:
        answer: None: a tie.
        confidence: majority: the part of the answers that fell on it; Dawid and Skene: its
            probability; None: a tie.
    """

    answer: str | None
    confidence: float | None


def majority(answers: Sequence[Answer]) -> Consensus:
    """What more people say than anything else."""
    ranked = Counter(answers).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return Consensus(None, None)
    answer, count = ranked[0]
    return Consensus(str(answer), round(count / len(answers), DECIMALS))


def dawid_skene(
    annotations: Sequence[Annotation], question: Question, smoothing: float
) -> dict[ClipKey, Consensus]:
    """The most probable answer for each clip that has one; see `dawid_skene.fit`.

    Args:
        annotations: those that count.
        question: a question with one answer.
        smoothing: what a labeller's good name is worth, in answers.
    """
    import numpy as np

    from ossl_builder.annotations.dawid_skene import fit

    given = answered(annotations, question)
    if not given.clip_keys:
        return {}
    n_choices = len(question.answers)
    fitted = fit(given.clips, given.labellers, given.answers, n_choices, smoothing)
    rounded = np.round(fitted.probabilities, DECIMALS)
    found = {}
    for clip_key, probabilities in zip(given.clip_keys, rounded.tolist(), strict=True):
        best = max(probabilities)
        is_tie = sorted(probabilities)[-2:][0] == best
        answer = str(question.answers[probabilities.index(best)])
        found[clip_key] = Consensus(None, None) if is_tie else Consensus(answer, best)
    return found


QUADRANT = "quadrant"
SILENT = "none"
NOTHING = Consensus(None, None)

Place = tuple[str, str]


def labels_of(
    annotations: Iterable[Annotation],
    clips: Iterable[Clip],
    taxonomy: LabelSchema,
    settings: LabelsSettings,
) -> list[Label]:
    """The labels of the clips that at least one person answered, sorted.

    Skipped and withdrawn annotations count nowhere, nor do those of clips that are no more, or
    under another version of the questions. Where most hear no music, the clip has no mood.
    """
    known = list(annotations)
    here = of_clips(known, clips)
    counted = counting(here, taxonomy)
    question = taxonomy.question(QUADRANT)
    probable = {} if question is None else dawid_skene(counted, question, settings.smoothing)
    skipped = Counter(_place(one) for one in here if one.state == "skipped")
    imported = _imported(known)
    by_clip: dict[Place, list[Annotation]] = {}
    for one in counted:
        by_clip.setdefault(_place(one), []).append(one)
    return [
        _label(people, probable.get(place, NOTHING), skipped[place], imported, taxonomy, settings)
        for place, people in sorted(by_clip.items())
    ]


def beside_imported(labels: Iterable[Label], there: Iterable[Label]) -> list[Label]:
    """Labels, and of those there already the released ones of clips that nobody answered here.

    What came with a released corpus has no annotations that it could be made from again.
    """
    found = {(one.film_id, one.clip_id): one for one in labels}
    for one in there:
        if one.rule == "import" and not one.n_annotators:
            found.setdefault((one.film_id, one.clip_id), one)
    return [found[place] for place in sorted(found)]


def of_clips(annotations: Iterable[Annotation], clips: Iterable[Clip]) -> list[Annotation]:
    """The annotations whose clip is in the table; see `orphans` for the others."""
    places = {(clip.film_id, clip.clip_id) for clip in clips}
    return [one for one in annotations if _place(one) in places]


def _place(annotation: Annotation) -> Place:
    return annotation.film_id, annotation.clip_id


def _imported(annotations: Iterable[Annotation]) -> set[tuple[str, str]]:
    """Keys of annotations that came by import, also those that were carried afterwards."""
    known = list(annotations)
    first = {one.key for one in known if one.source == "import"}
    imported = set(first)
    carried = {one.key: (one.carried_from, one.annotator) for one in known if one.carried_from}
    for key, origin in carried.items():
        # A clip may have been carried more than once.
        seen = {key}
        while origin in carried and origin not in seen:
            seen.add(origin)
            origin = carried[origin]
        if origin in first:
            imported.add(key)
    return imported


def _label(
    people: Sequence[Annotation],
    probable: Consensus,
    n_skipped: int,
    imported: set[tuple[str, str]],
    taxonomy: LabelSchema,
    settings: LabelsSettings,
) -> Label:
    chosen = [one for one in people if QUADRANT in one.answers]
    most = majority([one.answers[QUADRANT] for one in chosen])
    audible = _most(people, "music_audible")
    # One imported mood was decided elsewhere: there is nothing to decide here.
    is_import = len(chosen) == 1 and chosen[0].key in imported
    decided = most if is_import or settings.rule == "majority" else probable
    if len(chosen) < settings.min_annotators or audible == SILENT:
        decided = NOTHING
    caption, source = _caption(people, decided.answer, imported)
    return Label(
        film_id=people[0].film_id,
        clip_id=people[0].clip_id,
        quadrant=decided.answer,
        mood=None if decided.answer is None else taxonomy.mood(decided.answer),
        rule="import" if is_import else settings.rule,
        confidence=None if is_import else decided.confidence,
        n_annotators=len(people),
        n_skipped=n_skipped,
        majority_quadrant=most.answer,
        majority_share=most.confidence,
        dawid_skene_quadrant=probable.answer,
        dawid_skene_confidence=probable.confidence,
        valence=_mean(people, "valence"),
        energy=_mean(people, "energy"),
        tension=_mean(people, "tension"),
        music_audible=audible,
        speech_over_music=_most(people, "speech_over_music"),
        mood_words="; ".join(_words(chosen)),
        caption=caption,
        caption_source=source,
    )


def _most(people: Sequence[Annotation], question: str) -> str | None:
    return majority([one.answers[question] for one in people if question in one.answers]).answer


def _mean(people: Sequence[Annotation], question: str) -> float | None:
    given = [answer for one in people if isinstance(answer := one.answers.get(question), int)]
    return round(sum(given) / len(given), 6) if given else None


def _words(chosen: Sequence[Annotation]) -> list[str]:
    """Mood words that at least half of those chose who gave the clip a mood, sorted."""
    counts = Counter(
        word
        for one in chosen
        if isinstance(words := one.answers.get("mood_words"), tuple)
        for word in words
    )
    return sorted(word for word, count in counts.items() if 2 * count >= len(chosen))


def _caption(
    people: Sequence[Annotation], quadrant: str | None, imported: set[tuple[str, str]]
) -> tuple[str | None, str]:
    """The caption that wins, and its source.

    In this order: one written here before an imported one; by somebody who chose the clip's
    quadrant; by somebody surer; by the annotator with the lowest number.
    """
    written = [one for one in people if one.answers.get("caption")]
    if not written:
        return None, "none"
    sure: Mapping[object, int] = {"high": 0, "medium": 1, "low": 2}

    def rank(one: Annotation) -> tuple[bool, bool, int, int, str]:
        return (
            one.key in imported,
            one.answers.get(QUADRANT) != quadrant,
            sure.get(one.answers.get("confidence"), len(sure)),
            len(one.annotator),
            one.annotator,
        )

    best = min(written, key=rank)
    return str(best.answers["caption"]), "import" if best.key in imported else "annotator"
