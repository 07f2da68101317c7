"""TitleGenerationPipeline: synopsis in, titles out. The page, the command line and the Hub all use this one.

It is saved beside the model, so that anyone can write

    pipe = pipeline(model=FOLDER_OR_ID, trust_remote_code=True)
    pipe("目が覚めると…", num_return_sequences=3, num_beams=5)

and works with transformers 4.57 and 5.x. Relative imports only: the modules named below are copied with it.
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from transformers import LogitsProcessorList, Pipeline, StoppingCriteriaList

from .constraints import OnceEach, TitleConstraints, Watcher
from .guidance import SourceGuidance, guided
from .known import KnownNumbers, KnownWords, WholeNames
from .selection import pick_varied, unique
from .settings import GenerationSettings, SettingsError, check_synopsis
from .text import TitleCodec, codec_for, display
from .vocabulary import Vocabulary

ONE_TITLE = GenerationSettings(num_titles=1)
_GENERATE_NAMES = {"num_return_sequences": "num_titles"}  # generate()'s word -> the setting's name


class TitleGenerationPipeline(Pipeline):
    """Write titles for one synopsis or a list of them.

    Call it with a string or a list and, as keywords, either ``settings=GenerationSettings(...)`` or any of its fields;
    ``num_return_sequences`` (default 1) and ``do_sample`` are understood as well.

    Returns, for each synopsis, a list of ``{"generated_text": str, "score": float}``, best first. The score is the
    geometric mean of the title's token probabilities (0 to 1) under the model with the same ``guidance``, whatever the
    method, so scores of different methods and lengths can be compared. ``return_tokens=True`` adds ``"tokens"``, a list of
    ``{"text", "probability"}``. ``on_step`` gets the unfinished titles after each step and may return True to stop.

    With sampling, the same seed gives the same titles for the same call. In a batch the inputs share one random
    stream, so reproduce single results with the default ``batch_size=1``.

    Raises:
        SettingsError: an empty or endless synopsis, or a setting that cannot be used.
    """

    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        vocab_size = self.model.get_output_embeddings().weight.shape[0]
        self.vocabulary = Vocabulary(self.codec.surfaces(vocab_size), self.codec.pieces(vocab_size))

    @cached_property
    def codec(self) -> TitleCodec:
        """The text codec of the model's tokenizer; the settings given to `pipeline()` itself are read with it already."""
        return codec_for(self.tokenizer)

    def _sanitize_parameters(
        self,
        settings: GenerationSettings | None = None,
        return_tokens: bool = False,
        on_step: Callable[[list[str]], bool | None] | None = None,
        **controls: Any,
    ) -> tuple[dict, dict, dict]:
        if settings is not None and controls:
            raise SettingsError(f"Give either settings or single controls, not both: {', '.join(controls)}.")
        shared: dict[str, Any] = {}
        if settings is not None or controls:
            settings = settings or settings_from(controls, self._given_when_built())
            # What is written comes back so.
            shared["settings"] = settings.replace(prefix=self.codec.beginning(settings.prefix)[0])
        forward = shared | ({"on_step": on_step} if on_step else {})
        return shared, forward, shared | ({"return_tokens": True} if return_tokens else {})

    def _given_when_built(self) -> dict[str, Any]:
        """Return the settings that `pipeline(..., num_return_sequences=3)` was built with: a call changes only its own."""
        built = getattr(self, "_preprocess_params", {}).get("settings")
        return built.to_dict() if built else {}

    @property
    def max_source_tokens(self) -> int:
        """How many tokens of a synopsis the model was trained to read."""
        config = self.model.config
        encoder = getattr(config, "encoder", config)
        positions = getattr(encoder, "max_position_embeddings", None) or 512
        return min(getattr(config, "max_source_length", None) or 512, positions)

    def preprocess(self, synopsis: str, settings: GenerationSettings = ONE_TITLE) -> dict[str, torch.Tensor]:
        """Return `input_ids` and `attention_mask`, each (1, source tokens)."""
        check_synopsis(synopsis, settings)
        ids = torch.tensor([self.codec.encode_synopsis(synopsis, self.max_source_tokens)])
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def _forward(self, inputs: dict, settings: GenerationSettings = ONE_TITLE, on_step: Callable | None = None) -> dict:
        """Generate for a batch: returns `sequences` and `log_probs`, both (batch, candidates, decoder tokens - 1)."""
        prompt = self._decoder_prompt(settings)
        batch = inputs["input_ids"].shape[0]
        encoded = self.model.get_encoder()(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        hidden = encoded.last_hidden_state
        guidance = self.guides(settings)
        with torch.random.fork_rng(devices=_cuda_devices(hidden)):
            torch.manual_seed(settings.seed)
            sequences = self.model.generate(
                encoder_outputs=encoded,
                attention_mask=inputs["attention_mask"],
                decoder_input_ids=prompt.repeat(batch, 1),
                logits_processor=LogitsProcessorList(
                    [
                        *guidance,
                        self._constraints(settings, prompt.shape[1]),
                        *self._once_each(settings),
                        *self._known(inputs["input_ids"], settings, prompt.shape[1]),
                    ]
                ),
                stopping_criteria=self._stopping(settings, prompt.shape[1], on_step),
                max_new_tokens=self._token_budget(settings, prompt.shape[1]),
                **settings.generate_kwargs(),
            )
        log_probs = self._score(hidden, inputs["attention_mask"], sequences, prompt.shape[1], guidance)
        shape = (batch, sequences.shape[0] // batch, -1)
        return {"sequences": sequences[:, prompt.shape[1] :].reshape(shape), "log_probs": log_probs.reshape(shape)}

    def postprocess(
        self, outputs: dict, settings: GenerationSettings = ONE_TITLE, return_tokens: bool = False
    ) -> list[dict]:
        """Turn one synopsis's candidates into titles, best first."""
        candidates = [
            self._title(ids, log_probs, settings.prefix, return_tokens)
            for ids, log_probs in zip(outputs["sequences"][0].tolist(), outputs["log_probs"][0].tolist(), strict=True)
        ]
        titles = unique(sorted(candidates, key=lambda title: -title["score"]), key="generated_text")
        # Of drawn titles all are wanted; the beams of a search are alike, and so are many of `diverse`.
        picked = titles if settings.method == "sample" else pick_varied(titles, settings.num_titles)
        return sorted(picked, key=lambda title: -title["score"])

    def _title(self, ids: list[int], log_probs: list[float], prefix: str, return_tokens: bool) -> dict[str, Any]:
        length = ids.index(self.codec.end_id) + 1 if self.codec.end_id in ids else len(ids)
        ids, log_probs = ids[:length], log_probs[:length]
        title = {
            "generated_text": self._joined(prefix, self.codec.decode(ids)),
            "score": round(math.exp(sum(log_probs) / max(1, len(log_probs))), 4),
        }
        if return_tokens:
            title["tokens"] = [
                {"text": self.vocabulary.surfaces[i], "probability": round(math.exp(p), 4)}
                for i, p in zip(ids, log_probs, strict=True)
            ]
        return title

    @staticmethod
    def _joined(prefix: str, written: str) -> str:
        """Return the whole title: signs in the width that suits both parts, the beginning as it was given."""
        title = display(prefix + written)
        return (title if title.startswith(prefix) else prefix + written).strip()

    def _decoder_prompt(self, settings: GenerationSettings) -> torch.Tensor:
        """Return the start token and the prefix's tokens, (1, tokens)."""
        start = self.model.generation_config.decoder_start_token_id
        if start is None:
            start = self.model.config.decoder_start_token_id
        return torch.tensor([[start, *self.codec.beginning(settings.prefix)[1]]], device=self.device)

    def guides(self, settings: GenerationSettings) -> list[SourceGuidance]:
        """Return what holds titles to their synopsis, if anything is to."""
        if not settings.guidance:
            return []
        nothing = torch.tensor([self.codec.encode_synopsis("", self.max_source_tokens)], device=self.device)
        encoded = self.model.get_encoder()(input_ids=nothing)
        return [SourceGuidance(self.model, encoded.last_hidden_state, settings.guidance)]

    def _known(
        self, sources: torch.Tensor, settings: GenerationSettings, prompt_length: int
    ) -> list[KnownWords | WholeNames | KnownNumbers]:
        """Return what keeps rare words and numbers to those that were read, if that is wished and the vocabulary tells."""
        if not settings.known_words or not self.vocabulary.pieces:
            return []
        beginning = self.codec.beginning(settings.prefix)[1]
        surfaces = self.vocabulary.surfaces
        read = [[*row, *beginning] if any(surfaces[i] for i in row) else [] for row in sources.tolist()]
        texts = ["".join(surfaces[i] or "\n" for i in row) for row in read]  # special tokens part words
        return [
            KnownWords(self.vocabulary, prompt_length, texts),
            WholeNames(self.vocabulary, texts),
            KnownNumbers(self.vocabulary, read),
        ]

    def _once_each(self, settings: GenerationSettings) -> list[OnceEach]:
        return [OnceEach(self.vocabulary)] if self.vocabulary.pieces and not settings.repeat_words else []

    def _constraints(self, settings: GenerationSettings, prompt_length: int) -> TitleConstraints:
        return TitleConstraints(
            self.vocabulary,
            self.codec.end_id,
            prompt_length,
            settings.prefix,
            settings.character_range,
            settings.forbidden,
        )

    def _stopping(
        self, settings: GenerationSettings, prompt_length: int, on_step: Callable | None
    ) -> StoppingCriteriaList:
        watchers = [Watcher(self.codec, prompt_length, settings.prefix, on_step)] if on_step else []
        return StoppingCriteriaList(watchers)

    def _token_budget(self, settings: GenerationSettings, prompt_length: int) -> int:
        """A token is at least one character, so the longest title in characters bounds the tokens; so do the positions."""
        decoder = getattr(self.model.config, "decoder", self.model.config)
        positions = getattr(decoder, "max_position_embeddings", None) or 512
        return max(1, min(settings.character_range[1] + 1, positions - prompt_length))

    def _score(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor,
        sequences: torch.Tensor,
        prompt_length: int,
        guidance: list[SourceGuidance],
    ) -> torch.Tensor:
        """Return the log-probability of each generated token, (rows, tokens), in one pass over finished titles."""
        copies = sequences.shape[0] // hidden.shape[0]
        logits = self.model(
            encoder_outputs=(hidden.repeat_interleave(copies, 0),),
            attention_mask=mask.repeat_interleave(copies, 0),
            decoder_input_ids=sequences[:, :-1],
            use_cache=False,
        ).logits
        for guide in guidance:
            logits = guided(logits, guide.logits(sequences[:, :-1]), guide.strength)
        chosen = sequences[:, prompt_length:].unsqueeze(-1)
        return logits[:, prompt_length - 1 :].float().log_softmax(-1).gather(-1, chosen).squeeze(-1)


def settings_from(controls: dict[str, Any], others: dict[str, Any] | None = None) -> GenerationSettings:
    """Build settings from keywords as `generate()` names them; what is not named is as in `others`, or one title."""
    values = (others or ONE_TITLE.to_dict()) | {_GENERATE_NAMES.get(n, n): value for n, value in controls.items()}
    if "do_sample" in values:
        values["method"] = "sample" if values.pop("do_sample") else "beam"
    return GenerationSettings.from_dict(values)


def _cuda_devices(tensor: torch.Tensor) -> list[int]:
    return [tensor.device.index or 0] if tensor.device.type == "cuda" else []
