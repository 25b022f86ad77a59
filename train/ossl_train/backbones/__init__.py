"""Frozen MusicGen models, from audiocraft or from transformers, behind one interface."""

from ossl_train.backbones.backbone import Backbone
from ossl_train.backbones.loading import load_backbone
from ossl_train.backbones.values import Guidance, Sampling, Shape, TextStates

__all__ = ["Backbone", "Guidance", "Sampling", "Shape", "TextStates", "load_backbone"]
