"""Collect recorded music, acted speech and effects from free packages of Debian.

    python -m separator.recordings --data DIR --share /usr/share

writes DIR/music/rec-NAME-N.npy, DIR/speech/acted-NAME.npy and DIR/effects/NAME.npy (and the same
with `-val` for sounds that training never sees): 16 kHz, mono, float16. README.md lists the
licences. Packages may be installed or unpacked (`dpkg -x`) below `--share`.
"""

from __future__ import annotations

import argparse
import io
import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from separator.speech import RATE, RMS, decode, save
from separator.spoiling import Sound

log = logging.getLogger(__name__)
SHORTEST_S = 0.15
"""Shortest effect that is used."""
LONGEST_EFFECT_S = 20.0


@dataclass(frozen=True)
class Source:
    """Sounds of one package: files below the share folder.

    Attributes:
        name: name of the files written.
        patterns: glob patterns.
        is_validation: never used for training.
        without: parts of a path that exclude a file.
        only: parts of a path of which a file needs one; empty: no condition.
    """

    name: str
    patterns: tuple[str, ...]
    is_validation: bool = False
    without: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def paths(self, share: Path) -> list[Path]:
        """Return the files, sorted."""
        found = {path for pattern in self.patterns for path in share.glob(pattern)}
        return [
            path
            for path in sorted(found)
            if not any(word in str(path) for word in self.without)
            and (not self.only or any(word in str(path) for word in self.only))
        ]


MUSIC = (
    Source("flare", ("games/flare/**/music/*.ogg",)),
    Source("horizons", ("unknown-horizons/content/audio/music/**/*.ogg",)),
    Source("opsound", ("asterisk/moh/*.g722",)),
    Source("empires", ("games/0ad/**/*.ogg",), only=("audio/music",)),
    Source("wesnoth", ("games/wesnoth/**/music/*.ogg",), is_validation=True),
)
EFFECTS = (
    Source(
        "scratch",
        ("scratch/Media/Sounds/**/*.*",),
        without=("Music Loops", "Instruments", "Vocals/Singer", "Percussion"),
    ),
    Source("flare", ("games/flare/**/soundfx/**/*.ogg",)),
    # Alarms of the game are horns and strings, which are music.
    Source(
        "empires",
        ("games/0ad/**/*.ogg",),
        only=("audio/",),
        without=("music", "voice", "alarm", "interface"),
    ),
    Source("horizons", ("unknown-horizons/content/audio/sounds/**/*.ogg",)),
    Source(
        "sonicpi",
        ("sonic-pi/**/*.flac",),
        only=("glitch_", "misc_", "vinyl_"),
    ),
    Source("wesnoth", ("games/wesnoth/**/sounds/**/*.*",), is_validation=True),
)


def acted_speech(path: Path) -> Iterator[Sound]:
    """The lines of "Flight of the Amazon Queen" from its file `queen.1c`, as ScummVM packs it.

    The number of entries is at byte 13, the table at byte 15: for each entry 12 bytes of name, a
    byte, and offset and size as 32-bit numbers, big-endian. The entries `*.SB` are MP3.
    """
    content = path.read_bytes()
    if content[:4] != b"QTBL":
        raise ValueError(f"{path} has no table of entries")
    (count,) = struct.unpack_from(">H", content, 13)
    for index in range(count):
        name, _, offset, size = struct.unpack_from(">12sBII", content, 15 + 21 * index)
        # Names of speech begin with a number of the dialogue; others are effects and music.
        if name.rstrip(b"\0").endswith(b".SB") and name[:6].isdigit():
            try:
                yield decode(io.BytesIO(content[offset : offset + size]), "mp3")
            except av.error.FFmpegError:
                log.warning("%s cannot be decoded", name)


def music(source: Source, share: Path, folder: Path) -> None:
    """Write each recording of a source as one file, at an RMS of 0.1."""
    for number, path in enumerate(source.paths(share)):
        target = folder / f"rec-{source.name}-r{source.name}{number}.npy"
        if target.exists():
            continue
        sound = decode(path, "g722" if path.suffix == ".g722" else None)
        rms = float(np.sqrt(np.mean(sound**2) + 1e-12))
        if len(sound) >= 5 * RATE and rms > 1e-4:
            target.parent.mkdir(parents=True, exist_ok=True)
            np.save(target, np.clip(sound / rms * RMS, -8, 8).astype(np.float16))
            log.info("%s: %.1f min", target.stem, len(sound) / RATE / 60)


def effects(source: Source, share: Path) -> Iterator[Sound]:
    """The effects of a source that have a useful length."""
    for path in source.paths(share):
        try:
            sound = decode(path)
        except (av.error.FFmpegError, IndexError, ValueError):
            continue
        if SHORTEST_S <= len(sound) / RATE <= LONGEST_EFFECT_S:
            yield sound


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--share", type=Path, default=Path("/usr/share"), help="packages' share/")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for source in MUSIC:
        music(source, options.share, options.data / f"music{'-val' * source.is_validation}")
    for path in sorted(options.share.glob("scummvm/*/queen.1c")):
        rng = np.random.default_rng(1)
        save(acted_speech(path), options.data / "speech" / "acted-queen.npy", rng)
    for source in EFFECTS:
        folder = options.data / f"effects{'-val' * source.is_validation}"
        rng = np.random.default_rng(1)
        save(effects(source, options.share), folder / f"{source.name}.npy", rng)


if __name__ == "__main__":
    main()
