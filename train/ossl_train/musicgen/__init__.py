"""Frozen MusicGen models, from audiocraft or from transformers, behind one interface."""

from ossl_train.musicgen.loading import load_backbone
from ossl_train.musicgen.model import Backbone
from ossl_train.musicgen.types import Guidance, Sampling, Shape, TextStates

__all__ = ["Backbone", "Guidance", "Sampling", "Shape", "TextStates", "load_backbone"]
