"""Train a video adapter on a frozen MusicGen, and write music for a scene."""
