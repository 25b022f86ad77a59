"""Rows of clips without media files, for tests that need no frames."""

from __future__ import annotations

from ossl_builder.tables import Clip
from ossl_builder.tables.clips import clip_id


def clip_row(film_id: str, start_s: float, end_s: float) -> Clip:
    """A clip of a film at these film times."""
    name = clip_id(film_id, start_s, end_s)
    rate, duration_s = 44_100, end_s - start_s
    return Clip(
        clip_id=name, film_id=film_id, start_s=start_s, end_s=end_s, duration_s=duration_s,
        fps=25.0, fps_num=25, fps_den=1, n_frames=round(duration_s * 25), width=64, height=48,
        video_path=f"films/{film_id}/clips/{name}.mp4", video_sha256="0" * 64,
        mix_path=None, mix_sha256=None,
        music_path=f"films/{film_id}/clips/{name}.music.flac", music_sha256="0" * 64,
        dialogue_path=None, dialogue_sha256=None, sample_rate=rate,
        n_samples=round(duration_s * rate), cue_id=None, music_lufs=-20.0, dialogue_share=None,
        first_scene_id=None, last_scene_id=None,
    )  # fmt: skip
