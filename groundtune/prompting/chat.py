"""Turns conversations into token ids: one object for training, the reference engine and serving. Knows no weights."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from groundtune.errors import ModelFailure
from groundtune.types import Message

GUARD = "\ufdd0"
"""A Unicode noncharacter put inside control tokens that occur in messages, so that they stay text; removed before encoding."""

END_OF_TURN = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>")
"""Control tokens that end an answer, in any model that has them."""


class ChatTokenizer:
    """A tokenizer with its chat template and stop tokens.

    Control tokens inside a message are encoded as the plain text that they are: a document cannot open a turn of its own.
    """

    def __init__(
        self,
        tokenizer: Path,
        *,
        chat_template: str,
        bos_token: str = "",
        eos_token: str = "",
        pad_token: str = "",
    ) -> None:
        """Read `tokenizer.json`. Raises ModelFailure when it or the template cannot be used."""
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            self._template = _environment().from_string(chat_template)
        except TemplateError as error:
            raise ModelFailure(f"the chat template is not valid: {error}", subject=str(tokenizer.parent)) from error
        except Exception as error:  # `tokenizers` raises bare Exception
            raise ModelFailure(f"the tokenizer cannot be read: {error}", subject=str(tokenizer)) from error
        # The flag below is not part of the file: text that looks like a control token is encoded as text.
        self._tokenizer.encode_special_tokens = True
        self._special = {token.content: number for number, token in self._tokenizer.get_added_tokens_decoder().items()}
        self._pieces = re.compile("(" + "|".join(map(re.escape, sorted(self._special, key=len, reverse=True))) + ")")
        self._names = {"bos_token": bos_token, "eos_token": eos_token, "pad_token": pad_token}
        ends = {self._special[token] for token in (eos_token, *END_OF_TURN) if token in self._special}
        self.stop_ids: tuple[int, ...] = tuple(sorted(ends))
        """Generation stops at any of these."""
        self.pad_id: int = self._special.get(pad_token or eos_token, 0)
        self._identity = json.dumps([chat_template, self._names])

    @classmethod
    def from_folder(cls, folder: Path) -> ChatTokenizer:
        """Read tokenizer.json, tokenizer_config.json and chat_template.jinja of a model folder."""
        settings: dict[str, Any] = {}
        if (folder / "tokenizer_config.json").exists():
            settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        template = settings.get("chat_template")
        if (folder / "chat_template.jinja").exists():
            template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
        if not isinstance(template, str):
            raise ModelFailure(
                "the model has no chat template.",
                subject=str(folder),
                remedy="Use an instruction-tuned model, or add chat_template.jinja.",
            )
        names = {name: _token_text(settings.get(name)) for name in ("bos_token", "eos_token", "pad_token")}
        return cls(folder / "tokenizer.json", chat_template=template, **names)

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever the ids of any conversation may."""
        return hashlib.sha256((self._identity + self._tokenizer.to_str()).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Number of token ids, added ones included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The conversation as the model reads it, with its control tokens spelt out."""
        return self._render(messages, add_generation_prompt).replace(GUARD, "")

    def render_ids(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> list[int]:
        """The conversation as token ids. Raises ModelFailure when the template refuses it."""
        return self._encode(self._render(messages, add_generation_prompt))

    def render_pair(self, messages: Sequence[Message], answer: str) -> tuple[list[int], list[int]]:
        """(prompt ids, answer ids up to and including the end of turn): what training reads and serving continues."""
        prompt = self._render(messages, True)
        whole = self._render([*messages, Message("assistant", answer)], False)
        if not whole.startswith(prompt):
            raise ModelFailure("the chat template changes a prompt once its answer is known; it cannot be trained on.")
        ids = self._encode(whole[len(prompt) :])
        end = next((place for place, number in enumerate(ids) if number in self.stop_ids), None)
        if end is None:
            raise ModelFailure("the chat template ends no answer with a stop token; a tuned model would never stop.")
        return self._encode(prompt), ids[: end + 1]

    def encode(self, text: str) -> list[int]:
        """Plain text as ids; nothing in it counts as a control token."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids) if text else []

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, without control tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def count(self, text: str) -> int:
        return len(self.encode(text))

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        rows = [{"role": message.role, "content": self._guard(message.content)} for message in messages]
        try:
            return self._template.render(messages=rows, add_generation_prompt=add_generation_prompt, **self._names)
        except TemplateError as error:
            raise ModelFailure(f"the chat template refuses the conversation: {error}") from error

    def _guard(self, text: str) -> str:
        return self._pieces.sub(lambda found: found[0][0] + GUARD + found[0][1:], text.replace(GUARD, ""))

    def _encode(self, rendered: str) -> list[int]:
        ids: list[int] = []
        for part in self._pieces.split(rendered):
            ids += [self._special[part]] if part in self._special else self.encode(part.replace(GUARD, ""))
        return ids


def _environment() -> ImmutableSandboxedEnvironment:
    """The jinja2 settings of `transformers.utils.chat_template_utils`, which chat templates are written for."""

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def to_json(value: Any, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    def now(form: str) -> str:
        return datetime.datetime.now(tz=datetime.UTC).strftime(form)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = to_json
    environment.globals.update(raise_exception=raise_exception, strftime_now=now)
    return environment


def _token_text(value: Any) -> str:
    """A token of tokenizer_config.json, which is a string or a table with `content`."""
    if isinstance(value, dict):
        value = value.get("content")
    return value or ""
