"""Tiny bases, adapters and recipes: all that a build needs, made in a second."""

import json
from pathlib import Path
from typing import Any

import peft
import torch
import yaml
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2ForSequenceClassification

from intently_build.tokenizer import save_tokenizer, train_tokenizer

SAYINGS = {
    "timer": ("set a timer for {} minutes", "start counting {} minutes", "wake me in {} minutes"),
    "weather": ("will it rain at {} today", "what is the weather at {}", "how warm is it at {}"),
    "balance": ("do i have {} dollars left", "is my balance over {}", "how much over {} is on my account"),
}
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
TARGETS = ["q_proj", "v_proj", "down_proj"]


def rows(split: slice) -> list[dict[str, str]]:
    """Returns utterances with their intents; other slices of the numbers give other utterances."""
    return [
        {"text": saying.format(number), "intent": intent}
        for number in NUMBERS[split]
        for intent, sayings in SAYINGS.items()
        for saying in sayings
    ]


def make_base(
    folder: Path, seed: int = 0, hidden: int = 64, layers: int = 1, tied: bool = True, codes: int = 0
) -> Path:
    """Writes a causal Qwen2 with random weights, and a tokenizer with so many code tokens. Returns `folder`."""
    tokenizer = train_tokenizer([row["text"] for row in rows(slice(None))], 280, codes)
    save_tokenizer(tokenizer, folder)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=tied,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.1,
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def make_adapter(base: Path, folder: Path, labels: int | None = None, **settings: Any) -> Path:
    """Writes an adapter with random weights, as any program that uses peft does. Returns `folder`.

    Args:
      base: the checkpoint that it is for.
      folder: to write.
      labels: rows of a classification head; none for a causal adapter.
      settings: more of LoraConfig.
    """
    torch.manual_seed(1)
    model: Any
    if labels is None:
        model = Qwen2ForCausalLM.from_pretrained(base, dtype=torch.float32)
    else:
        model = Qwen2ForSequenceClassification.from_pretrained(base, dtype=torch.float32, num_labels=labels)
        settings |= {"modules_to_save": ["score"]}
    usual: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": TARGETS, "init_lora_weights": False}
    config = peft.LoraConfig(task_type="SEQ_CLS" if labels else "CAUSAL_LM", **(usual | settings))
    adapted = peft.get_peft_model(model, config)
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            weight.data.normal_(std=0.05)
    adapted.save_pretrained(str(folder))
    return folder


def make_recipe(folder: Path, **sections: Any) -> Path:
    """Writes rows, labels and a recipe for three intents. Returns the recipe's path.

    Args:
      folder: to write into.
      sections: of the recipe, added to the usual ones; how the model comes to be is for the caller to say.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in (("train", slice(0, 8)), ("validation", slice(8, 10)), ("test", slice(10, 12))):
        lines = [json.dumps(row) + "\n" for row in rows(split)]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    labels = [{"intent": intent, "description": f"the user wants {intent}"} for intent in SAYINGS]
    (folder / "labels.json").write_text(json.dumps(labels))
    (folder / "LICENSE").write_text("CC0\n")
    data = {name: f"{name}.jsonl" for name in ("train", "validation", "test")}
    turns = {f"{who}_{side}": f"<|im_{how}|>" for who in ("user", "assistant") for side, how in SIDES}
    content: dict[str, Any] = {
        "name": "tiny",
        "languages": ["en"],
        "label_set_version": "tiny-1",
        "data": {
            "name": "tiny",
            "folder": ".",
            "license": "CC0-1.0",
            "attribution": "us",
            "notices": ["LICENSE"],
            "labels": "labels.json",
            **data,
        },
        "prompt": {
            "prefix": "<|im_start|>timer, weather or balance?<|im_end|>" * 16,
            "utterance_open": "<|utterance|>",
            "suffix": "<|intent|>",
            "turns": turns,
        },
        "limits": {"max_input_tokens": 512},
        "calibration": {"operating_points": ["keep-99"], "default_operating_point": "keep-99"},
        "evaluate": {"may_be_chance": True},  # most weights here are random
        "golden": [{"text": "set a timer"}, {"text": "and now?", "context": ["is it warm", "yes"]}],
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content | sections))
    return path


SIDES = (("open", "start"), ("close", "end"))
