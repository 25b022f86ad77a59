"""T5, frozen, as the text encoder of both backbones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ossl_train.backbones.values import TextStates


class TextEncoder:
    """A tokenizer and a frozen T5 encoder in float32, which is MusicGen's way (T5 overflows fp16).

    Attributes:
        width: of its states.
    """

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self.tokenizer = tokenizer
        self.model = model.float().eval().requires_grad_(False)
        self.width = int(model.config.d_model)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def encode(self, prompts: Sequence[str]) -> TextStates:
        """States of prompts, padded to the longest; those of an empty prompt are masked."""
        device = next(self.model.parameters()).device
        tokens = self.tokenizer(list(prompts), return_tensors="pt", padding=True).to(device)
        states = self.model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).last_hidden_state
        said = torch.tensor([bool(prompt) for prompt in prompts], device=device)
        mask = tokens["attention_mask"].bool() & said[:, None]
        return TextStates(states * mask[..., None], mask)
