import json

import pytest
import torch
from conftest import run_python
from safetensors import safe_open
from transformers import AutoModelForSeq2SeqLM, BertModel, EncoderDecoderModel, ViTConfig

from training.config import ConfigError, ModelArguments
from training.model import build_model
from training.tokenizer import load_tokenizer


def new(tokenizer, **changes):
    shape = {"hidden_size": 32, "attention_heads": 2, "encoder_layers": 2, "new_decoder_layers": 1} | changes
    return build_model(ModelArguments(**shape), tokenizer, 64, 32)


def test_both_sides_start_from_the_encoder_and_the_decoder_keeps_evenly_spaced_layers(encoder_dir):
    tokenizer = load_tokenizer(str(encoder_dir))
    base = BertModel.from_pretrained(encoder_dir, add_pooling_layer=False)
    model = build_model(ModelArguments(base_model=str(encoder_dir), decoder_layers=2), tokenizer, 64, 32)
    assert isinstance(model, EncoderDecoderModel)
    decoder = model.decoder.bert.encoder.layer
    assert len(decoder) == 2 and len(model.encoder.encoder.layer) == 4
    for kept, original in zip(decoder, (0, 3), strict=True):
        for name, weight in base.encoder.layer[original].attention.state_dict().items():
            assert torch.equal(kept.attention.state_dict()[name], weight), name
    assert model.encoder.get_input_embeddings().num_embeddings == len(tokenizer) == base.config.vocab_size + 1
    assert model.generate(torch.tensor([[2, 9, 3]]), max_new_tokens=3).shape[0] == 1


def test_a_seq2seq_checkpoint_is_taken_as_it_is(model_dir):
    tokenizer = load_tokenizer(str(model_dir))
    model = build_model(ModelArguments(base_model=str(model_dir)), tokenizer, 64, 32)
    saved = AutoModelForSeq2SeqLM.from_pretrained(model_dir).state_dict()
    assert all(torch.equal(weight, saved[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("architecture", ["pegasus", "bert2bert"])
def test_shared_embeddings_are_one_tensor(tokenizer, architecture):
    model = new(tokenizer, architecture=architecture, share_embeddings=True)
    tables = {
        model.get_encoder().get_input_embeddings().weight.data_ptr(),
        model.get_decoder().get_input_embeddings().weight.data_ptr(),
        model.get_output_embeddings().weight.data_ptr(),
    }
    assert len(tables) == 1


def test_a_new_seq2seq_model_has_its_table_once_on_disk(tokenizer, tmp_path):
    new(tokenizer).save_pretrained(tmp_path)
    size = (tmp_path / "model.safetensors").stat().st_size
    table = len(tokenizer) * 32 * 4
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        tables = [name for name in file.keys() if file.get_slice(name).get_shape() == [len(tokenizer), 32]]  # noqa: SIM118
    assert len(tables) == 1 and table < size < 2 * table


def test_a_bert2bert_with_shared_embeddings_loads_with_the_stock_class(tokenizer, tmp_path):
    model = new(tokenizer, architecture="bert2bert", share_embeddings=True)
    model.save_pretrained(tmp_path)
    again, info = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    inputs = {"input_ids": torch.tensor([[2, 9, 8, 3]]), "decoder_input_ids": torch.tensor([[2, 9]])}
    assert torch.allclose(model.eval()(**inputs).logits, again.eval()(**inputs).logits, atol=1e-6)


@pytest.mark.parametrize("kind", ["model_dir", "bert2bert_dir"])
def test_special_ids_are_right_in_a_fresh_process(kind, request):
    folder = request.getfixturevalue(kind)
    code = (
        "import sys, json; from transformers import AutoModelForSeq2SeqLM as M, AutoTokenizer as T;"
        "m, t = M.from_pretrained(sys.argv[1]), T.from_pretrained(sys.argv[1]);"
        "names = ('pad_token_id', 'decoder_start_token_id', 'eos_token_id');"
        "print(json.dumps([[getattr(c, n) for n in names] for c in (m.config, m.generation_config)]"
        " + [[t.pad_token_id, t.cls_token_id, t.sep_token_id]]))"
    )
    config, generation, wanted = json.loads(run_python("-c", code, folder).stdout.splitlines()[-1])
    assert config == generation == wanted


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"base_model": "./nowhere"}, "nowhere"),
        ({"decoder_layers": 9}, "from 1 to 4"),
        ({"base_model": "image"}, "vit"),
    ],
)
def test_a_base_model_that_cannot_be_used_is_named(encoder_dir, tokenizer, tmp_path, arguments, word):
    if arguments.get("base_model") == "image":
        ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2).save_pretrained(tmp_path)
        arguments = {"base_model": str(tmp_path)}
    with pytest.raises(ConfigError, match=word):
        build_model(ModelArguments(**({"base_model": str(encoder_dir)} | arguments)), tokenizer, 64, 32)


def test_more_tokens_than_positions_are_refused(encoder_dir):
    tokenizer = load_tokenizer(str(encoder_dir))
    with pytest.raises(ConfigError, match=r"max_source_length 512.*128 positions"):
        build_model(ModelArguments(base_model=str(encoder_dir)), tokenizer, 512, 32)


def test_generation_never_writes_the_unknown_token(tokenizer):
    model = new(tokenizer)
    model.get_output_embeddings().weight.data[tokenizer.unk_token_id] += 10
    written = model.generate(torch.tensor([[2, 9, 3]]), max_new_tokens=8, num_beams=1)
    assert tokenizer.unk_token_id not in written[0, 1:].tolist()
