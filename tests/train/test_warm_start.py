"""`fit --init`: a run that starts with the weights of another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ossl_train.adapter.adapter import adapter_for
from ossl_train.adapter.adapter_file import save_adapter
from ossl_train.musicgen import load_backbone
from ossl_train.training.warm_start import start_from

from ossl_builder.errors import OsslError
from tests.train.small_run import VIDEO_DIM, max_difference


@pytest.fixture
def trained(tiny_models: Path, tmp_path: Path) -> Path:
    backbone = load_backbone(str(tiny_models / "musicgen"))
    torch.manual_seed(3)
    adapter = adapter_for(backbone, video_dim=VIDEO_DIM, positions="time", alpha_init=0.4)
    save_adapter(tmp_path / "adapter.safetensors", adapter, {"digest": backbone.digest})
    return tmp_path / "adapter.safetensors"


def started(tiny_models: Path, path: Path, **settings: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    backbone = load_backbone(str(tiny_models / "musicgen"))
    torch.manual_seed(4)
    adapter = adapter_for(backbone, video_dim=VIDEO_DIM, **{"positions": "time"} | settings)
    fresh = {name: weight.clone() for name, weight in adapter.state_dict().items()}
    start_from(adapter, path, backbone)
    return adapter, fresh


def test_the_new_run_has_the_weights_of_the_file(tiny_models: Path, trained: Path) -> None:
    from safetensors.torch import load_file

    adapter, fresh = started(tiny_models, trained)
    assert max_difference(adapter.state_dict(), load_file(trained)) == 0
    assert max_difference(adapter.state_dict(), fresh) > 0.1
    assert adapter.layers[0].alpha.item() == pytest.approx(0.4)


def test_new_parts_are_added_to_old_weights(tiny_models: Path, trained: Path) -> None:
    from safetensors.torch import load_file

    adapter, fresh = started(tiny_models, trained, null_tokens=3, dialogue=True)
    old, now = load_file(trained), adapter.state_dict()
    assert max_difference({name: now[name] for name in old}, old) == 0
    added = now.keys() - old.keys()
    assert {name.split(".")[0] for name in added} == {"null", "film"}
    assert all(torch.equal(now[name], fresh[name]) for name in added)


@pytest.mark.parametrize(
    ("settings", "told"), [({"positions": "none"}, "positions"), ({"rank": 4}, "rank")]
)
def test_an_adapter_of_other_settings_is_refused(
    tiny_models: Path, trained: Path, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(OsslError, match=told) as caught:
        started(tiny_models, trained, **settings)
    assert caught.value.code == "init_differs"


def test_an_adapter_of_another_base_model_is_refused(tiny_models: Path, tmp_path: Path) -> None:
    backbone = load_backbone(str(tiny_models / "musicgen"))
    adapter = adapter_for(backbone, video_dim=VIDEO_DIM, positions="time")
    path = tmp_path / "other.safetensors"
    save_adapter(path, adapter, {"digest": "0" * 64})
    with pytest.raises(OsslError, match="another model") as caught:
        started(tiny_models, path)
    assert caught.value.code == "adapter_other_model"
