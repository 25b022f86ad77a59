"""FLAC files: lossless round trip, and detection of a full disk."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ossl_builder.errors import OsslError
from ossl_builder.media.flac import FlacWriter, read_flac


def test_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    audio = rng.uniform(-1.2, 1.2, (2, 44_100 * 6 + 11)).astype(np.float32)
    with FlacWriter(tmp_path / "a.flac", 44_100, 2) as writer:
        told = [writer.write(audio[:, at : at + 10_007]) for at in range(0, audio.shape[1], 10_007)]
    read = np.concatenate(list(read_flac(tmp_path / "a.flac")), axis=1)
    assert np.array_equal(read, np.concatenate(told, axis=1))
    assert np.abs(read - audio.clip(-1, 1 - 2**-15)).max() <= 2**-16
    assert soundfile.info(tmp_path / "a.flac").subtype == "PCM_16"


def test_16_bit_samples_are_unchanged(tmp_path):
    steps = np.arange(-32768, 32768, dtype=np.int16)[None]
    with FlacWriter(tmp_path / "a.flac", 8_000, 1) as writer:
        writer.write(steps.astype(np.float32) / 32768)
    assert np.array_equal(soundfile.read(tmp_path / "a.flac", dtype="int16")[0], steps[0])


def test_a_file_that_is_not_flac_is_an_error(tmp_path):
    (tmp_path / "a.flac").write_bytes(b"no audio at all")
    with pytest.raises(OsslError) as caught:
        list(read_flac(tmp_path / "a.flac"))
    assert caught.value.code == "audio_unreadable"


@pytest.mark.parametrize("seconds", [0.1, 60])
def test_a_failed_write_is_detected(tmp_path, seconds):
    """libsndfile writes 0.1 s only when it closes the file, and then reports no error."""
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 44_100)).astype(np.float32)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
            with FlacWriter(tmp_path / "a.flac", 44_100, 2) as writer:
                for _ in range(max(1, int(seconds))):
                    writer.write(noise[:, : int(44_100 * min(1, seconds))])
        except OsslError as error:
            status = 0 if error.code == "write_failed" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_device_is_detected(tmp_path):
    (tmp_path / "a.flac").symlink_to("/dev/full")
    with pytest.raises(OsslError) as caught, FlacWriter(tmp_path / "a.flac", 44_100, 2) as writer:
        writer.write(np.zeros((2, 44_100), np.float32))
    assert caught.value.code == "write_failed"
