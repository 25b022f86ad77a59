"""The scripts of the three demo films: one each for training, validation and test."""

from __future__ import annotations

from fractions import Fraction

from ossl_builder.demo.fancies import clockwork, iris, snowfall, wheel
from ossl_builder.demo.landscapes import balloons, hills, sea
from ossl_builder.demo.nights import fireworks, lighthouse, rain, skyline, starfield
from ossl_builder.demo.passing import forest, railway
from ossl_builder.demo.script import Line, MusicCue, Script, Shot

DAY = ("4a90d9", "bfe3f5", "fff1d6")
DUSK = ("2b1a55", "b04a7a", "ffb27a")
SUNRISE = ("e8955a", "f6c48a", "fde6c0")
NIGHT = ("0b1030", "2a2a5a", "7a4a6a")
FOG = ("0c1420", "22384e", "4a6472")
STRIPES = (("e63946", "f1faee"), ("ffb703", "fb5607"), ("8338ec", "ffbe0b"),
           ("2a9d8f", "e9f5db"), ("d62828", "003049"))  # fmt: skip
LAMPS = ("ffb14a", "ff5a4a", "5ad0ff", "fff0c0")

HILLS = Script(
    film_id="demo-hills",
    title="Over the Hills",
    rate=Fraction(24),
    seed=11,
    sample_rate=48_000,
    shots=(
        Shot(4.4, lambda: starfield(9, "0a0818", ("6a3a9a", "1a6aaa"))),
        Shot(7.2, lambda: forest(6, ("fff3b8", "a9c66b", "4f7a3a"), "2a1d14")),
        Shot(11.2, lambda: hills(3, DAY, "8fb7b0", "2f6b2f", (0.45, 0.2, "fff6d0"), "ffffff")),
        Shot(15.0, lambda: sea(4, SUNRISE, ("c98a6a", "2f4a63"), (0.3, 0.36, "fff4d8"), 0.7),
             "dissolve"),
        Shot(18.1, lambda: balloons(7, ("3a86d8", "a9dcf7", "ffe9c4"), "ffffff", STRIPES)),
        Shot(21.7, lambda: snowfall(17, ("24344c", "5a7090", "b8c4d4"), "f2f6fa", "ffc65a")),
        Shot(25.6, lambda: railway(5, ("5aa0e0", "cfeaf7"), "7fa58a", "3d6b27", "ffffff")),
        Shot(29.4, lambda: wheel(14, DUSK, "e8d8d0", ("ffe066", "ff6b6b", "4ecdc4", "ffffff"),
                                 0.06)),
        Shot(34.6, lambda: iris(16, ("ff006e", "fb8500", "ffd60a", "3a86ff"), 9, 1.0), "fade"),
        Shot(40.2, lambda: skyline(8, NIGHT, ("2c2c50", "14142a"), "ffd98a",
                                   (0.5, 0.18, "fff1d0"))),
        Shot(44.0, lambda: clockwork(15, ("1c1410", "2c2018"), "efe2c4", "9a6a2a")),
        Shot(47.7, lambda: lighthouse(10, FOG, "2a2c34", "fff2c0")),
        Shot(50.0, lambda: skyline(18, SUNRISE, ("c08a80", "6a4a58"), "fff4c0",
                                   (0.55, 0.3, "fff8e0"), 0.25)),
    ),
    music=(
        MusicCue(7.3, 18.0, "calm"),
        MusicCue(21.8, 33.0, "joyful"),
        MusicCue(36.8, 47.6, "tense"),
    ),
    speech=(Line(0.3, "man", "good morning"), Line(26.0, "woman", "the train")),
)  # fmt: skip

HARBOUR = Script(
    film_id="demo-harbour",
    title="The Harbour at Night",
    rate=Fraction(24000, 1001),
    seed=101,
    is_colour=False,
    channels=1,
    shots=(
        Shot(5.2, lambda: rain(12, ("1a1e28", "2a3040", "3a4048"), LAMPS)),
        Shot(8.2, lambda: skyline(24, ("30343c", "5a6068", "9a9ea4"), ("50545a", "202226"),
                                  "ffffff", (-0.5, 0.16, "ffffff"), 0.3)),
        Shot(12.2, lambda: lighthouse(21, FOG, "15171c", "fff2c0")),
        Shot(16.4, lambda: sea(22, ("3a4050", "6a7280", "b0b6bc"), ("70787f", "20262c"),
                               (-0.35, 0.17, "fff4d8"), 1.5)),
        Shot(21.2, lambda: clockwork(23, ("282420", "3a342e"), "f4f0e4", "a8987a"), "fade"),
        Shot(26.2, lambda: starfield(25, "101014", ("707078", "505058"))),
        Shot(29.3, lambda: railway(29, ("c8ccd0", "f0f0f0"), "a0a4a0", "484c44", "ffffff")),
        Shot(33.2, lambda: snowfall(13, ("44505c", "7a8490", "c8ccd0"), "f6f8fa", "fff0c0"),
             "dissolve"),
        Shot(37.4, lambda: forest(27, ("f4f4e4", "b0b4a0", "70786a"), "18140f")),
        Shot(41.5, lambda: hills(28, ("70747c", "b4b8bc", "f0eee8"), "b0b4b0", "24281f",
                                 (-0.4, 0.24, "ffffff"), "ffffff")),
        Shot(44.6, lambda: wheel(30, ("181a20", "40444c", "70747c"), "e8e8e8", ("ffffff",), 0.05)),
        Shot(48.5, lambda: balloons(31, ("8a9098", "c0c4c8", "f0f0f0"), "ffffff", STRIPES)),
    ),
    music=(MusicCue(8.3, 20.2, "tense"), MusicCue(29.4, 41.4, "calm")),
    speech=(
        Line(0.6, "man", "the harbour"),
        Line(12.6, "woman", "who is there"),
        Line(23.4, "man", "the way home"),
        Line(33.8, "woman", "the snow"),
        Line(44.7, "man", "the stars"),
    ),
)  # fmt: skip

FAIR = Script(
    film_id="demo-fair",
    title="A Night at the Fair",
    rate=Fraction(25),
    seed=37,
    shots=(
        Shot(4.4, lambda: fireworks(11, ("14143a", "2a2460", "503a70"), "1a1630",
                                    ("ff5a5a", "ffd25a", "5ab4ff", "9aff8a", "ff8af0"))),
        Shot(7.2, lambda: snowfall(34, ("44607c", "7a98b0", "d8e4f0"), "f6f8fa", "ffc65a")),
        Shot(11.2, lambda: balloons(32, SUNRISE, "fff4e8", STRIPES[::-1])),
        Shot(15.0, lambda: wheel(33, ("0c1440", "2a3a80", "4a6ab0"), "c8d0f0",
                                 ("ff4d6d", "ffe066", "7ae582", "ffffff"), -0.07)),
        Shot(18.5, lambda: railway(43, ("f0a0a0", "ffe0c0"), "b08a90", "5a4a60", "fff0e8")),
        Shot(22.1, lambda: starfield(41, "120a24", ("2a9a8a", "8a4ac0"))),
        Shot(25.3, lambda: iris(35, ("1a0508", "8a1020", "d84a1a", "3a0a18"), 13, 1.3)),
        Shot(29.4, lambda: sea(36, ("070c1c", "14203a", "2c3a55"), ("27406e", "0a1630"),
                               (-0.3, 0.17, "fff4d8"), 1.2, 80)),
        Shot(34.2, lambda: clockwork(37, ("0f1c1e", "1a3034"), "d8e8e0", "3f8a84"), "fade"),
        Shot(36.8, lambda: rain(38, ("141a30", "20284a", "303a5a"), LAMPS)),
        Shot(40.2, lambda: hills(39, DUSK, "8a5a80", "241a38", (-0.5, 0.3, "ffd9a0"), "ff9a8a"),
             "dissolve"),
        Shot(44.0, lambda: forest(40, ("d8f0ff", "7ab0b8", "2f5a60"), "0f1a20")),
        Shot(47.9, lambda: skyline(42, NIGHT, ("2c2c50", "14142a"), "ffd98a",
                                   (0.5, 0.18, "fff1d0"))),
        Shot(50.0, lambda: hills(44, DAY, "8fb7b0", "4a6a3f", (0.3, 0.2, "fff6d0"), "ffffff")),
    ),
    music=(
        MusicCue(7.3, 18.4, "joyful"),
        MusicCue(22.2, 33.1, "tense"),
        MusicCue(36.9, 47.8, "calm"),
    ),
    speech=(Line(0.3, "woman", "the fair"), Line(25.8, "man", "the clock")),
)  # fmt: skip

SCRIPTS: tuple[Script, ...] = (HILLS, HARBOUR, FAIR)
