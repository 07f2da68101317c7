"""The model of a run: warm-started from an encoder, any seq2seq checkpoint, or new and small.

What is particular to a family of models stands here: how it is built and which ids its decoder starts and ends with.
"""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BertConfig,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    PegasusConfig,
    PegasusForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from training.config import ConfigError, ModelArguments

POSITIONS = 512  # of a new model, whatever it is first trained on: a later run may read longer synopses


@dataclass(frozen=True)
class SpecialIds:
    """The ids a decoder needs; one place for training (config) and generation (generation_config)."""

    pad: int
    start: int
    end: int

    @classmethod
    def of(cls, tokenizer: Any) -> "SpecialIds":
        """BERT's [CLS] and [SEP] open and close a title; a seq2seq tokenizer has its own pair."""
        if tokenizer.cls_token_id is not None and tokenizer.sep_token_id is not None:
            return cls(tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
        return cls(tokenizer.pad_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)


def build_model(
    arguments: ModelArguments, tokenizer: Any, max_source_length: int, max_target_length: int
) -> PreTrainedModel:
    """Build the model that `arguments` describe, its special ids set for training and for generation.

    Raises:
        ConfigError: a base model that cannot be read, is no text model, or whose positions are too few.
    """
    if arguments.base_model is None:
        model = _new_model(arguments, len(tokenizer), max_source_length, max_target_length)
    else:
        model = _from_checkpoint(arguments, len(tokenizer))
    if arguments.share_embeddings:
        share_embeddings(model)
    _check_positions(model, max_source_length, max_target_length)
    set_special_ids(model, SpecialIds.of(tokenizer), tokenizer.unk_token_id)
    # What the model was trained to read; the pipeline cuts synopses here.
    model.config.max_source_length = max_source_length
    return model


def _new_model(a: ModelArguments, vocab_size: int, source: int, target: int) -> PreTrainedModel:
    dropout = 0.1 if a.dropout is None else a.dropout
    if a.architecture == "bert2bert":
        shape = {
            "vocab_size": vocab_size,
            "hidden_size": a.hidden_size,
            "num_attention_heads": a.attention_heads,
            "intermediate_size": 4 * a.hidden_size,
            "hidden_dropout_prob": dropout,
            "attention_probs_dropout_prob": dropout,
            "max_position_embeddings": max(source, target, POSITIONS),
            "initializer_range": max(0.02, 0.5 * a.hidden_size**-0.5),
        }
        encoder = BertConfig(num_hidden_layers=a.encoder_layers, **shape)
        decoder = BertConfig(num_hidden_layers=a.new_decoder_layers, is_decoder=True, add_cross_attention=True, **shape)
        model = EncoderDecoderModel(EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder))
        return _without_pooler_gradients(model)
    config = PegasusConfig(
        vocab_size=vocab_size,
        d_model=a.hidden_size,
        encoder_layers=a.encoder_layers,
        decoder_layers=a.new_decoder_layers,
        encoder_attention_heads=a.attention_heads,
        decoder_attention_heads=a.attention_heads,
        encoder_ffn_dim=4 * a.hidden_size,
        decoder_ffn_dim=4 * a.hidden_size,
        max_position_embeddings=max(source, target, POSITIONS),
        dropout=dropout,
        attention_dropout=0.0,
        activation_dropout=0.0,
        # The stock 0.02 suits a width of 768 and more. At 256 three such matrices in a row all but switch
        # cross-attention off, and the model learns to write without reading (benchmarks/embedded_model.md).
        init_std=a.hidden_size**-0.5,
        scale_embedding=True,  # token embeddings of size 1 beside sinusoids of size 0.7
    )
    return PegasusForConditionalGeneration(config)


def writes(arguments: ModelArguments) -> bool:
    """Whether the base model has an encoder and a decoder that were trained together."""
    return (
        arguments.base_model is not None
        and _base_config(arguments).model_type in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    )


def _base_config(a: ModelArguments) -> PreTrainedConfig:
    try:
        return AutoConfig.from_pretrained(a.base_model, revision=a.base_revision)
    except (OSError, ValueError) as error:
        raise ConfigError(f"base_model {a.base_model} cannot be read: {str(error).strip().splitlines()[0]}") from error


def _from_checkpoint(a: ModelArguments, vocab_size: int) -> PreTrainedModel:
    config = _base_config(a)
    if config.model_type in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        if a.decoder_layers is not None:
            raise ConfigError("decoder_layers cuts an encoder checkpoint; this base_model brings a decoder of its own.")
        source = {"revision": a.base_revision, "dtype": torch.float32, "config": _with_dropout(config, a.dropout)}
        model = AutoModelForSeq2SeqLM.from_pretrained(a.base_model, **source)
        if vocab_size > model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(vocab_size)
        return model
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or not hasattr(config, "add_cross_attention"):
        raise ConfigError(
            f"base_model {a.base_model} is a {config.model_type} model: give a BERT-like encoder or a text seq2seq model."
        )
    return _warm_started(a, vocab_size)


def _with_dropout(config: PreTrainedConfig, dropout: float | None) -> PreTrainedConfig:
    """Set the dropout between layers under the name this family has for it, on both sides of an encoder-decoder."""
    if dropout is not None:
        for part in (config, *(getattr(config, side, None) for side in ("encoder", "decoder"))):
            for name in ("dropout", "dropout_rate", "hidden_dropout_prob"):
                if hasattr(part, name):
                    setattr(part, name, dropout)
    return config


def _warm_started(a: ModelArguments, vocab_size: int) -> EncoderDecoderModel:
    """BERT2BERT (Rothe et al., TACL 2020): both sides from one encoder, cross-attention new."""
    source = {"revision": a.base_revision, "dtype": torch.float32}
    encoder_config, decoder_config = (
        _with_dropout(AutoConfig.from_pretrained(a.base_model, revision=a.base_revision), a.dropout) for _ in range(2)
    )
    encoder = AutoModel.from_pretrained(a.base_model, config=encoder_config, **source)
    decoder_config.is_decoder = decoder_config.add_cross_attention = True
    decoder = AutoModelForCausalLM.from_pretrained(a.base_model, config=decoder_config, **source)
    if a.decoder_layers is not None:
        keep_layers(decoder, a.decoder_layers)
    for side in (encoder, decoder):
        if vocab_size > side.config.vocab_size:
            side.resize_token_embeddings(vocab_size)
    return _without_pooler_gradients(EncoderDecoderModel(encoder=encoder, decoder=decoder))


def _without_pooler_gradients(model: EncoderDecoderModel) -> EncoderDecoderModel:
    # Nothing reads the encoder's pooler, but the stock class expects it in the file: kept, never trained.
    if getattr(model.encoder, "pooler", None) is not None:
        model.encoder.pooler.requires_grad_(False)
    return model


def keep_layers(decoder: PreTrainedModel, count: int) -> None:
    """Keep `count` evenly spaced layers of a BERT-like decoder, first and last included.

    Raises:
        ConfigError: more layers asked for than there are, or none.
    """
    stack = decoder.base_model.encoder
    have = len(stack.layer)
    if not 1 <= count <= have:
        raise ConfigError(f"decoder_layers must be from 1 to {have}, the layers of the base model, but is {count}.")
    kept = [round(i * (have - 1) / max(1, count - 1)) for i in range(count)]
    stack.layer = torch.nn.ModuleList(stack.layer[i] for i in kept)
    for i, layer in enumerate(stack.layer):  # the key-value cache is indexed by these
        for attention in (layer.attention, layer.crossattention):
            attention.self.layer_idx = i
    decoder.config.num_hidden_layers = count


def share_embeddings(model: PreTrainedModel) -> None:
    """Let encoder and decoder train one embedding table; a seq2seq model of its own kind has only one anyway."""
    if not isinstance(model, EncoderDecoderModel):
        return
    table = model.encoder.get_input_embeddings()
    if table.weight.shape != model.decoder.get_input_embeddings().weight.shape:
        raise ConfigError("share_embeddings needs the same vocabulary and width on both sides.")
    model.decoder.set_input_embeddings(table)
    model.decoder.get_output_embeddings().weight = table.weight
    model.__class__ = SharedEncoderDecoderModel


class SharedEncoderDecoderModel(EncoderDecoderModel):
    """One table in memory and in the optimizer, a copy for each side in the file.

    The stock class, which is what `AutoModel` loads, cannot tie the sides when it reads a file: with a single copy it
    would start one side at random, without an error.
    """

    def save_pretrained(self, save_directory: str, state_dict: dict | None = None, **kwargs: Any) -> None:
        state = dict(state_dict or self.state_dict())
        table = "encoder.embeddings.word_embeddings.weight"
        state[table] = state[table].clone()
        super().save_pretrained(save_directory, state_dict=state, **kwargs)


# The file names the class that anyone can load it with.
SharedEncoderDecoderModel.__name__ = EncoderDecoderModel.__name__


def _check_positions(model: PreTrainedModel, source: int, target: int) -> None:
    for side, wanted in (("encoder", source), ("decoder", target)):
        config = getattr(model.config, side, model.config)
        positions = getattr(config, "max_position_embeddings", None)
        if positions is not None and wanted > positions:
            name = "max_source_length" if side == "encoder" else "max_target_length"
            raise ConfigError(f"{name} {wanted} is more than the {positions} positions of the {side}: lower it.")


def set_special_ids(model: PreTrainedModel, ids: SpecialIds, unknown_id: int | None) -> None:
    """The loss reads `config`, generate() reads `generation_config`: both get the same ids."""
    for config in (model.config, model.generation_config):
        config.pad_token_id, config.decoder_start_token_id, config.eos_token_id = ids.pad, ids.start, ids.end
    model.config.vocab_size = model.get_output_embeddings().weight.shape[0]
    generation = model.generation_config
    generation.bos_token_id, generation.forced_eos_token_id = ids.start, None
    generation.max_length, generation.max_new_tokens = None, 64
    generation.num_beams, generation.no_repeat_ngram_size = 4, 3
    generation.early_stopping = True
    if unknown_id is not None:
        generation.suppress_tokens = [unknown_id]
