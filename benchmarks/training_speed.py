"""Training throughput, peak memory and FLOP/s utilisation of a recipe, with random weights of its size.

    python benchmarks/training_speed.py --size demo
    python benchmarks/training_speed.py --size base --peak_tflops 989 --steps 30     # the seed recipe, on a GPU

Result: benchmarks/results/training_SIZE_DEVICE.json
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from torch.nn.functional import cross_entropy
from transformers import BertConfig, EncoderDecoderConfig, EncoderDecoderModel, PegasusConfig
from transformers import PegasusForConditionalGeneration as Pegasus

from benchmarks.machine import facts, write_result
from training.config import has_bfloat16

SOURCE, TARGET = 200, 32  # tokens: a synopsis and a title of usual length
PADDING = 8
TITLES = 5  # of one synopsis, where it is read once for all of them
SIZES = {"demo": {"batch": 32}, "base": {"batch": 64}}


def build(size: str) -> torch.nn.Module:
    """Return a model of the recipe's size with random weights."""
    if size == "demo":
        return Pegasus(
            PegasusConfig(
                vocab_size=12000, d_model=256, encoder_layers=4, decoder_layers=3, encoder_attention_heads=4,
                decoder_attention_heads=4, encoder_ffn_dim=1024, decoder_ffn_dim=1024, max_position_embeddings=512,
            )
        )  # fmt: skip
    side = BertConfig(vocab_size=32768)
    decoder = BertConfig(vocab_size=32768, is_decoder=True, add_cross_attention=True)
    return EncoderDecoderModel(EncoderDecoderConfig.from_encoder_decoder_configs(side, decoder))


def flops_per_pair(model: torch.nn.Module) -> float:
    """Return forward and backward FLOPs of one pair: 6 per weight and token (Kaplan et al., 2020), attention left out.

    Embedding look-ups cost nothing; the output projection is counted for the target.
    """
    encoder = sum(p.numel() for n, p in model.get_encoder().named_parameters() if "embed" not in n)
    decoder = sum(p.numel() for n, p in model.get_decoder().named_parameters() if "embed" not in n)
    head = model.get_output_embeddings().weight.numel()
    return 6 * (encoder * SOURCE + (decoder + head) * TARGET)


def step_seconds(model, batch: int, steps: int, device: str, dtype: torch.dtype | None, titles: int = 1) -> float:
    """Return the mean time of an optimizer step after three warm-up steps.

    Args:
        titles: so many of the `batch` titles belong to one synopsis, which is read once for them (`group_titles`).
    """
    vocabulary = model.get_output_embeddings().weight.shape[0]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    source = torch.randint(5, vocabulary, (batch // titles, SOURCE), device=device)
    target = torch.randint(5, vocabulary, (batch, TARGET), device=device)
    mask = torch.ones_like(source)
    mask[::2, -PADDING:] = 0  # as in a batch of similar lengths
    for step in range(steps + 3):
        if step == 3:
            _wait(device)
            start = time.perf_counter()
        with torch.autocast(device, dtype, enabled=dtype is not None):
            hidden = model.get_encoder()(input_ids=source, attention_mask=mask).last_hidden_state
            read = {"encoder_outputs": (hidden.repeat_interleave(titles, 0),)}
            read["attention_mask"] = mask.repeat_interleave(titles, 0)
            logits = model(**read, decoder_input_ids=target.roll(1, 1)).logits
        cross_entropy(logits.float().flatten(0, 1), target.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
    _wait(device)
    return (time.perf_counter() - start) / steps


def attention_ratio(model, batch: int, steps: int) -> float:
    """Return how many times as fast the plain attention trains as the fused kernel, on the CPU: turn by turn."""
    seconds = dict.fromkeys(("sdpa", "eager", "sdpa ", "eager "), 0.0)
    for name in seconds:
        model.set_attn_implementation(name.strip())
        seconds[name] = step_seconds(model, batch, steps, "cpu", torch.bfloat16)
    return round((seconds["sdpa"] + seconds["sdpa "]) / (seconds["eager"] + seconds["eager "]), 2)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Measure float32 and bfloat16 in one run and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="demo")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--peak_tflops", type=float, help="of the device in bfloat16, to give the utilisation")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch = arguments.batch or SIZES[arguments.size]["batch"]
    model = build(arguments.size).to(device).train()
    attention = "eager" if device == "cpu" else "sdpa"  # what the trainer takes
    model.set_attn_implementation(attention)
    result = {"size": arguments.size, "parameters": sum(p.numel() for p in model.parameters()), "batch": batch}
    for name, dtype in (("float32", None), ("bfloat16", torch.bfloat16)):
        rate = batch / step_seconds(model, batch, arguments.steps, device, dtype)
        tflops = rate * flops_per_pair(model) / 1e12
        result[name] = {"pairs_per_second": round(rate, 1), "tflops": round(tflops, 3)}
        if arguments.peak_tflops:
            result[name]["utilisation_percent"] = round(100 * tflops / arguments.peak_tflops, 1)
    if device == "cpu":
        result["eager_over_sdpa"] = attention_ratio(model, batch, arguments.steps)
    batch = batch // TITLES * TITLES
    for name, titles in (("read_for_each_title", 1), ("read_once_for_all_titles", TITLES)):
        rate = batch / step_seconds(model, batch, arguments.steps, device, torch.bfloat16, titles)
        result[name] = {"titles_per_second": round(rate, 1), "titles_of_a_synopsis": TITLES}
    each, once = (result[f"read_{n}"]["titles_per_second"] for n in ("for_each_title", "once_for_all_titles"))
    result["once_over_each"] = round(once / each, 2)
    rates = [result[name]["pairs_per_second"] for name in ("bfloat16", "float32")]
    result["bfloat16_over_float32"] = round(rates[0] / rates[1], 2)
    result["bfloat16_is_in_hardware"] = has_bfloat16(use_cpu=device == "cpu")
    if device == "cuda":
        result["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    result |= {"machine": facts(), "command": f"python benchmarks/training_speed.py --size {arguments.size}"}
    write_result(f"training_{arguments.size}_{device}", result)


if __name__ == "__main__":
    main()
