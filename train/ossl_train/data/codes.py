"""Stage `codes`: EnCodec's codes of the music in every window of a film's clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ossl_builder.engine.stage import Item, Outcome, Reject, Stage, versions
from ossl_builder.files import sha256_json
from ossl_builder.media.loudness import dbfs
from ossl_builder.tables import Clip
from ossl_train.data.storage import CODES, CODES_TABLE, StoredWindow, StoreWriter, key_of
from ossl_train.data.window_loader import window_audio
from ossl_train.data.windows import CodesWork, WindowSpan, window_spans
from ossl_train.model_paths import checked_device, fingerprint, shown_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ossl_train.musicgen.model import Backbone

# Audiocraft keeps the codec in a file of its own, transformers in the model's.
CODEC_FILES = ("compression_state_dict.bin", "*.safetensors", "*.bin")


def codes_facts(clips: Sequence[Clip]) -> str:
    """Hash of what of a film's clips shapes its codes: nothing but their music."""
    return sha256_json([[c.clip_id, c.duration_s, c.music_sha256] for c in clips])


def make_codes(item: Item) -> Outcome:
    """Encode the music of every window that is not silent.

    Each window is encoded by itself, as the model hears it in training; its loudness is that of
    the film. The codes end with the audio: nothing is padded.

    Raises:
        OsslError: `audio_unreadable`, and those of `load_backbone`.
    """
    work: CodesWork = item.config
    clips: tuple[Clip, ...] = item.rows["clips"]
    backbone = load_model(work.source, work.backbone, work.device)
    total = sum(len(window_spans(clip, work.windows)) for clip in clips)
    rows: list[StoredWindow] = []
    silent: dict[str, Reject] = {}
    said: dict[str, Any] = {}
    with StoreWriter(item.folder / f"{CODES}.safetensors") as store:
        for clip, window, audio in _sounds(item, backbone.shape.sample_rate):
            key, peak = key_of(clip.clip_id, window.index), dbfs(float(abs(audio).max()))
            if peak is None or peak <= work.silent_dbfs:
                silent[key] = _silent(clip, window, work.silent_dbfs)
                continue
            codes = encoded(backbone, audio)
            store.add(key, codes)
            said[key] = {
                "start_s": window.start_s, "duration_s": window.duration_s,
                "peak_dbfs": round(peak, 2),
            }  # fmt: skip
            rows.append(
                StoredWindow(
                    clip.film_id, clip.clip_id, window.index, window.start_s, window.duration_s,
                    codes.shape[1],
                )
            )  # fmt: skip
            item.progress((len(rows) + len(silent)) / total)
        store.metadata = _metadata(work, backbone, clips)
        store.metadata |= {"windows": said, "silent": list(silent)}
    return Outcome(tuple(rows), tuple(silent.values()))


def encoded(backbone: Backbone, wave: NDArray[np.float32]) -> NDArray[np.int16]:
    """Codes [K, T] of one channel's audio [samples] at the model's rate, full scale being 1."""
    import torch

    audio = torch.from_numpy(wave)[None, None]
    with torch.inference_mode():
        codes = backbone.encode_audio(audio)
    found: NDArray[np.int16] = codes[0].cpu().to(torch.int16).numpy()
    return found


def load_model(source: str, backbone: str, device: str) -> Backbone:
    """The MusicGen whose codec and text encoder are wanted; the last one is kept.

    Raises:
        OsslError: `no_gpu`, `train_not_installed`, and those of `load_backbone`.
    """
    return _load(source, backbone, checked_device(device))


@lru_cache(maxsize=1)
def _load(source: str, backbone: str, device: str) -> Backbone:
    from ossl_train.musicgen import load_backbone

    return load_backbone(source, backbone, device)


def _sounds(item: Item, rate: int) -> Iterator[tuple[Clip, WindowSpan, NDArray[np.float32]]]:
    for clip in item.rows["clips"]:
        found = window_spans(clip, item.config.windows)
        path = item.file(clip.music_path)
        for window, audio in zip(found, window_audio(path, found, rate), strict=True):
            yield clip, window, audio


def _silent(clip: Clip, window: WindowSpan, limit_dbfs: float) -> Reject:
    message = f"The music of {clip.clip_id} nowhere peaks above {limit_dbfs} dBFS there."
    return Reject("silent", message, window.start_s, window.end_s)


def _metadata(work: CodesWork, backbone: Backbone, clips: Sequence[Clip]) -> dict[str, Any]:
    shape = backbone.shape
    return {
        "encoder": shown_name(work.source),
        "digest": backbone.codec_digest,
        "rate": shape.frame_rate,
        "sample_rate": shape.sample_rate,
        "codebooks": shape.n_codebooks,
        "cardinality": shape.cardinality,
        "length_s": work.length_s,
        "shortest_s": work.shortest_s,
        "silent_dbfs": work.silent_dbfs,
        "clips": {clip.clip_id: clip.music_sha256 for clip in clips},
    }


def _tools(work: CodesWork) -> dict[str, str]:
    return {"codec": fingerprint(work.source, CODEC_FILES), **versions("av", "torch")}


def _prepare(work: CodesWork) -> None:
    load_model(work.source, work.backbone, work.device)


CODES_STAGE = Stage(
    name=CODES,
    doc="Encode the music of every window.",
    version=1,
    reads=("clips",),
    writes=CODES_TABLE,
    config=CodesWork,
    run=make_codes,
    folder=CODES,
    tools=_tools,
    prepare=_prepare,
)
