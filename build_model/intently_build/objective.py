"""What the causal model is trained on: the label's code token after the prompt, and a little the utterance itself."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch.nn import functional

from intently_build.examples import NO_TARGET
from intently_build.recipe import Training


def tail_states(decoder: torch.nn.Module, prefix: torch.Tensor, tail: torch.Tensor) -> torch.Tensor:
    """Returns the decoder's last hidden states over `tail`, as if `prefix` stood before each of its rows.

    The prefix, the same for all, is computed once: its keys and values are shared by the rows, gradients included.

    Args:
      decoder: a Qwen2Model.
      prefix: (prefix tokens) ids.
      tail: (batch, tokens) ids, filled up at the end.

    Returns: (batch, tokens, hidden size).
    """
    cache = decoder(input_ids=prefix[None], use_cache=True).past_key_values
    cache.batch_repeat_interleave(tail.shape[0])
    return decoder(input_ids=tail, past_key_values=cache, use_cache=True).last_hidden_state


def last_states(states: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """Returns (batch, hidden size): of each row of `states` (batch, tokens, hidden size) the one at `last` (batch)."""
    return states[torch.arange(len(last), device=last.device), last]


class Readout(Protocol):
    """Where a model's decoder is, and how its last hidden states become logits."""

    def decoder(self, model: torch.nn.Module) -> torch.nn.Module:
        """Returns the Qwen2Model in it."""

    def labels(self, model: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
        """Returns (rows, labels) for states (rows, hidden size)."""

    def vocabulary(self, model: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
        """Returns (rows, tokens) for states (rows, hidden size)."""


class CodeRows:
    """Reads the code tokens' rows of a causal model's language-model head."""

    def __init__(self, code_ids: list[int]) -> None:
        self._codes = torch.tensor(code_ids)

    def decoder(self, model: torch.nn.Module) -> torch.nn.Module:
        """Returns the Qwen2Model in it."""
        return model.model

    def labels(self, model: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
        """Returns (rows, labels) for states (rows, hidden size); no other row of the head is computed."""
        return states @ model.lm_head.weight[self._codes.to(states.device)].T

    def vocabulary(self, model: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
        """Returns (rows, tokens) for states (rows, hidden size)."""
        return states @ model.lm_head.weight.T


class Objective:
    """The loss of a batch: cross-entropy over the labels alone.

    While training, as the recipe weighs them, also: cross-entropy over all tokens on the utterance, and the
    disagreement of two passes over the same batch, which differ by their dropout.
    """

    def __init__(self, prefix_ids: list[int], readout: Readout, training: Training) -> None:
        self._prefix = torch.tensor(prefix_ids)
        self._readout = readout
        self._smoothing = training.label_smoothing
        self._utterance_weight = training.utterance_loss
        self._consistency_weight = training.consistency

    def __call__(
        self, model: torch.nn.Module, batch: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Returns the loss, and under "logits" those of the labels (batch, labels)."""
        if model.training and self._consistency_weight:
            batch = {name: torch.cat([part, part]) for name, part in batch.items()}
        device = batch["tail"].device
        states = tail_states(self._readout.decoder(model), self._prefix.to(device), batch["tail"])
        last = last_states(states, batch["last"])
        logits = self._readout.labels(model, last).float()
        loss = self.label_loss(logits, last, batch, self._smoothing if model.training else 0.0)
        if model.training and self._utterance_weight:
            at = batch["targets"] != NO_TARGET
            words = self._readout.vocabulary(model, states[at]).float()
            loss = loss + self._utterance_weight * functional.cross_entropy(words, batch["targets"][at])
        if model.training and self._consistency_weight:
            loss = loss + self._consistency_weight * _disagreement(*logits.chunk(2))
        return loss, {"logits": logits.detach()}

    def label_loss(
        self,
        logits: torch.Tensor,
        states: torch.Tensor,  # noqa: ARG002  # of use to who learns from a teacher
        batch: Mapping[str, torch.Tensor],
        smoothing: float,
    ) -> torch.Tensor:
        """Returns the part of the loss that speaks of the labels.

        Args:
          logits: (batch, labels).
          states: (batch, hidden size), which the logits were read from.
          batch: with the right `labels` (batch).
          smoothing: share of probability that the right label gives to all.
        """
        return functional.cross_entropy(logits, batch["labels"], label_smoothing=smoothing)


def _disagreement(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Returns the mean of both Kullback-Leibler divergences between two passes (R-Drop, Liang et al. 2021)."""
    p, q = functional.log_softmax(one, -1), functional.log_softmax(other, -1)
    return ((p.exp() - q.exp()) * (p - q)).sum(-1).mean() / 2


def add_dropout(model: torch.nn.Module, share: float) -> None:
    """Drops that share of the embeddings and of what each attention and MLP adds, while the model is training."""
    names = ("embed_tokens", "o_proj", "down_proj")

    def drop(module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        return functional.dropout(output, share, module.training)

    for name, module in model.named_modules():
        if share and name.endswith(names):
            module.register_forward_hook(drop)
