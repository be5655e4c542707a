"""R-Precision counts what it says, and a CLIP folder is loaded as it is or refused in one sentence."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from dreamfoundry.errors import ConfigError
from dreamfoundry.evaluation.clip_score import ClipScorer, load_clip, own_text_first

WORDS = ("<pad>", "<eos>", "a", "red", "blue", "cube", "ball")
TEXTS = ["a red cube", "a blue ball", "a red ball"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of random weights, as transformers saves it."""
    path = tmp_path_factory.mktemp("clip") / "tiny-clip"
    part = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**part, "vocab_size": len(WORDS), "max_position_embeddings": 8, "eos_token_id": 1},
        vision_config={**part, "image_size": 16, "patch_size": 8},
        projection_dim=12,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(path)
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>").save_pretrained(path)
    (path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2] * 3}))
    return path


@pytest.fixture(scope="module")
def clip(folder: Path) -> ClipScorer:
    return load_clip(folder)


def test_similarities_are_cosines_and_the_same_every_time(clip: ClipScorer, folder: Path) -> None:
    pictures = torch.rand(4, 3, 20, 20, generator=torch.Generator().manual_seed(1))
    found = clip.similarities(pictures, TEXTS)

    assert found.shape == (4, 3)
    assert found.abs().max() <= 1.0 + 1e-6
    assert len({round(float(value), 6) for value in found.flatten()}) == 12
    assert torch.equal(found, load_clip(folder).similarities(pictures, TEXTS))


def test_similarities_are_what_the_whole_model_answers(clip: ClipScorer, folder: Path) -> None:
    pictures = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    model = CLIPModel.from_pretrained(folder)
    tokens = torch.tensor([[2, 3, 5, 1, 0, 0, 0, 0], [2, 4, 6, 1, 0, 0, 0, 0], [2, 3, 6, 1, 0, 0, 0, 0]])
    pixels = (pictures - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / 0.2
    with torch.no_grad():
        whole = model(input_ids=tokens, pixel_values=pixels, attention_mask=(tokens > 0).long())

    expected = whole.logits_per_image / model.logit_scale.exp()
    torch.testing.assert_close(clip.similarities(pictures, TEXTS), expected)


def test_pictures_do_not_depend_on_how_many_go_together(clip: ClipScorer) -> None:
    pictures = torch.rand(33, 3, 16, 16, generator=torch.Generator().manual_seed(3))

    alone = clip.similarities(pictures[-1:], TEXTS)

    torch.testing.assert_close(clip.similarities(pictures, TEXTS)[-1:], alone)


def test_the_model_id_names_the_folder_and_changes_with_the_weights(
    clip: ClipScorer, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "tiny-clip")
    model = CLIPModel.from_pretrained(copy)
    model.logit_scale.data += 1.0
    model.save_pretrained(copy)

    assert clip.model_id.startswith("tiny-clip@")
    assert load_clip(folder).model_id == clip.model_id != load_clip(copy).model_id


def test_a_picture_counts_only_if_its_text_is_before_all_others() -> None:
    similarities = torch.tensor(
        [
            [0.9, 0.1, 0.2],  # own 0: first
            [0.3, 0.2, 0.1],  # own 1: second
            [0.1, 0.2, 0.3],  # own 2: first
            [0.5, 0.5, 0.1],  # own 0: a tie is a miss
        ]
    )
    own = torch.tensor([0, 1, 2, 0])

    assert own_text_first(similarities, own).tolist() == [True, False, True, False]


def test_blank_results_find_nothing() -> None:
    own = torch.tensor([0, 1, 2])

    assert not own_text_first(torch.full((3, 5), 0.2), own).any()
    assert not own_text_first(torch.full((3, 5), torch.nan), own).any()


def test_one_text_has_no_distractors() -> None:
    with pytest.raises(ConfigError, match="at least two texts"):
        own_text_first(torch.ones(2, 1), torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize("harm", ["empty", "no tokenizer", "other model", "no weights", "no preprocessing"])
def test_a_bad_folder_is_refused_in_one_sentence(harm: str, folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    if harm == "empty":
        bad.mkdir()
    else:
        shutil.copytree(folder, bad)
    if harm == "no tokenizer":
        for path in bad.glob("tokenizer*"):
            path.unlink()
    if harm == "other model":
        (bad / "config.json").write_text('{"model_type": "bert"}')
    if harm == "no weights":
        (bad / "model.safetensors").unlink()
    if harm == "no preprocessing":
        (bad / "preprocessor_config.json").write_text("{}")

    with pytest.raises(ConfigError, match="no CLIP can be loaded from there"):
        load_clip(bad)
