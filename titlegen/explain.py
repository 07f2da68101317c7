"""Why this title: how sure the model was of each token, and where in the synopsis it looked.

>>> from titlegen import load_pipeline
>>> explain(load_pipeline(), "目が覚めると…", "転生したら…")["tokens"][0]

One pass over the finished title (teacher forcing), so any title can be explained, not only a generated one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .guidance import guided
from .settings import GenerationSettings, check_synopsis

ALTERNATIVES = 3
UNKNOWN = "〓"  # what Japanese printers set for a character they have not got


@torch.inference_mode()
def explain(pipe: Any, synopsis: str, title: str, guidance: float = GenerationSettings().guidance) -> dict[str, Any]:
    """Explain `title` as a title of `synopsis`, written with `guidance` (see `GenerationSettings`).

    Returns a dictionary:
        ``tokens``: one for each token of the title, the end token last:
        ``{"text", "probability", "alternatives": [{"text", "probability"}, ...]}``;
        ``source``: the texts of the synopsis's tokens, "" for special ones, 〓 for unknown characters;
        ``attention``: (title tokens, source tokens), the cross-attention while each token was chosen, as the mean over
        layers and heads, without the share of special tokens, each row summing to 1 (or 0 without a synopsis).

    Not thread-safe: the model computes with eager attention meanwhile (the fast kinds keep no weights).

    Raises:
        SettingsError: a synopsis that cannot be read.
    """
    check_synopsis(synopsis, GenerationSettings(prefix=title[:1]))
    source = torch.tensor([pipe.codec.encode_synopsis(synopsis, pipe.max_source_tokens)], device=pipe.device)
    start = pipe.model.generation_config.decoder_start_token_id
    start = pipe.model.config.decoder_start_token_id if start is None else start
    target = torch.tensor([[start, *pipe.codec.encode_title(title, _positions(pipe))]], device=pipe.device)
    with eager_attention(pipe.model):
        output = pipe.model(input_ids=source, decoder_input_ids=target[:, :-1], output_attentions=True, use_cache=False)
        logits = output.logits
        for guide in pipe.guides(GenerationSettings(guidance=guidance)):
            logits = guided(logits, guide.logits(target[:, :-1]), guide.strength)
    weights = torch.stack([layer[0].float().mean(0) for layer in output.cross_attentions]).mean(0)
    texts = [UNKNOWN if i == pipe.codec.unk_id else text for i, text in enumerate(pipe.vocabulary.surfaces)]
    source_texts = [texts[i] for i in source[0].tolist()]
    weights[:, [text == "" for text in source_texts]] = 0.0
    weights /= weights.sum(-1, keepdim=True).clamp_min(1e-9)
    return {
        "tokens": _tokens(logits[0].float().softmax(-1), target[0, 1:], texts),
        "source": source_texts,
        "attention": [[round(w, 4) for w in row] for row in weights.tolist()],
    }


def _positions(pipe: Any) -> int:
    """How many tokens a title can have."""
    decoder = getattr(pipe.model.config, "decoder", pipe.model.config)
    return getattr(decoder, "max_position_embeddings", None) or 512


def _tokens(probabilities: torch.Tensor, chosen: torch.Tensor, surfaces: list[str]) -> list[dict[str, Any]]:
    top = probabilities.topk(ALTERNATIVES + 1)
    tokens = []
    for i, token in enumerate(chosen.tolist()):
        others = zip(top.indices[i].tolist(), top.values[i].tolist(), strict=True)
        alternatives = [{"text": surfaces[o], "probability": round(p, 4)} for o, p in others if o != token]
        probability = round(float(probabilities[i, token]), 4)
        tokens.append(
            {"text": surfaces[token], "probability": probability, "alternatives": alternatives[:ALTERNATIVES]}
        )
    return tokens


@contextmanager
def eager_attention(model: Any) -> Iterator[None]:
    """Let `model` compute attention in the way that keeps the weights; set back afterwards."""
    before = {id(m.config): (m, m.config._attn_implementation) for m in model.modules() if hasattr(m, "config")}
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        for module, implementation in before.values():
            module.config._attn_implementation = implementation
