"""Guidance: what the synopsis makes likelier moves up, and nothing implausible or forbidden does."""

import pytest
import torch

from titlegen.guidance import SourceGuidance, guided
from titlegen.settings import GenerationSettings


def logits(*probabilities):
    return torch.tensor([probabilities]).log()


def test_no_strength_changes_nothing():
    read, unread = torch.randn(3, 50), torch.randn(3, 50)
    assert torch.allclose(guided(read, unread, 0.0), read.log_softmax(-1), atol=1e-6)


def test_what_the_synopsis_makes_likelier_moves_up():
    usual_title, name, rest = 0.5, 0.4, 0.1
    read, unread = logits(usual_title, name, rest), logits(0.8, 0.1, 0.1)
    assert read.argmax() == 0 and guided(read, unread, 1.0).argmax() == 1
    assert guided(read, unread, 1.0).exp().sum() == pytest.approx(1, abs=1e-5)
    # p(name) / p(usual) is 0.4 / 0.5, times the square of what reading changed: (0.4 / 0.1) / (0.5 / 0.8)
    ratio = guided(read, unread, 2.0).exp()[0]
    assert (ratio[1] / ratio[0]).item() == pytest.approx(0.8 * 6.4**2, rel=1e-4)


def test_the_implausible_stays_below_whatever_it_would_gain():
    read, unread = logits(0.6, 0.37, 0.02, 0.01), logits(0.6, 0.3999, 1e-9, 1e-4)
    order = guided(read, unread, 2.0)[0].argsort(descending=True).tolist()
    assert order == [0, 1, 2, 3]


def test_the_forbidden_stays_forbidden():
    read = torch.tensor([[1.0, -float("inf"), 0.5]])
    result = guided(read, torch.tensor([[0.0, 3.0, 1.0]]), 1.0)
    assert result[0, 1] == -float("inf") and result.isfinite().tolist() == [[True, False, True]]


def test_a_model_without_a_synopsis_is_asked_for_every_row(pipe):
    nothing = torch.tensor([pipe.codec.encode_synopsis("", 64)])
    with torch.no_grad():
        hidden = pipe.model.get_encoder()(input_ids=nothing).last_hidden_state
        ids = torch.tensor(
            [[pipe.model.config.decoder_start_token_id, 7, 9], [pipe.model.config.decoder_start_token_id, 8, 8]]
        )
        scores = torch.randn(2, len(pipe.vocabulary))
        moved = SourceGuidance(pipe.model, hidden, 1.0)(ids, scores)
        for row in range(2):
            unread = pipe.model(input_ids=nothing, decoder_input_ids=ids[row : row + 1]).logits[:, -1]
            assert torch.allclose(moved[row], guided(scores[row : row + 1], unread, 1.0)[0], atol=1e-4)


def test_each_step_goes_on_from_the_last_however_the_beams_changed_places(pipe):
    start = pipe.model.config.decoder_start_token_id
    steps = [
        [[start, 7], [start, 8], [start, 9]],
        [[start, 9, 5], [start, 7, 6], [start, 9, 7]],  # the third beam stays twice, the second is gone
        [[start, 9, 7, 4], [start, 9, 5, 4], [start, 7, 6, 8]],
        [[start, 5, 5, 5, 5], [start, 6, 6, 6, 6], [start, 7, 7, 7, 7]],  # nothing of what was computed fits
    ]
    with torch.no_grad():
        guide = pipe.guides(GenerationSettings(guidance=0.7))[0]
        for rows in steps:
            ids, scores = torch.tensor(rows), torch.randn(3, len(pipe.vocabulary))
            whole = guided(scores, guide.logits(ids)[:, -1], 0.7)
            assert torch.allclose(guide(ids, scores), whole, atol=1e-4)
