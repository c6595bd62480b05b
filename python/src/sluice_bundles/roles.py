"""What a forward pass of a transformers model says of its tokens: absolute positions, ids and the prompt's length."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from .errors import BundleError
from .positions import acts, farthest_back, is_everywhere
from .strict_json import show

if TYPE_CHECKING:
    from torch import Tensor

    from .kinds import SiteStage


class Roles:
    """Follows a model's calls. Padding, which an attention mask tells, has no position: counting starts after it."""

    def __init__(self, prompt_length: int | Sequence[int] | None) -> None:
        self._given = None if prompt_length is None else torch.as_tensor(prompt_length).reshape(-1, 1)
        if self._given is not None and (self._given.is_floating_point() or bool((self._given < 1).any())):
            raise BundleError("usage", f"prompt_length is {show(prompt_length)}; it is a whole number of at least 1")
        self._prompt: Tensor | None = None
        self._position: Tensor
        self._tokens: Tensor | None = None
        self._in_generate = False
        self._scopes: dict[str, Tensor] = {}
        self._warned: set[str] = set()

    def begin_generate(self) -> None:
        """In generation the first call has the prompt, with or without a cache."""
        self._in_generate = True
        self._prompt = None

    def end_generate(self) -> None:
        self._in_generate = False
        self._prompt = None

    def begin_forward(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Reads the arguments of a call of the base model."""
        given = inspect.signature(type(module).forward).bind_partial(module, *args, **kwargs).arguments
        given = {**given.pop("kwargs", {}), **given}
        self._scopes.clear()
        self._tokens = given.get("input_ids")
        content = self._tokens if self._tokens is not None else given.get("inputs_embeds")
        if content is None:
            raise BundleError("usage", "The model is called without input_ids and without inputs_embeds")
        rows, length = content.shape[:2]
        cache = given.get("cache", given.get("past_key_values"))
        past = 0 if cache is None else int(cache.get_seq_length())
        mask, position_ids = given.get("attention_mask"), given.get("position_ids")
        if isinstance(mask, torch.Tensor) and mask.dim() == 2 and mask.shape[1] >= past + length:
            real = mask[:, : past + length].to(torch.long)
            self._position = (real.cumsum(-1) - 1).masked_fill(real == 0, -1)[:, past:]
        elif position_ids is not None:
            self._position = position_ids.reshape(-1, length).expand(rows, length)
        else:
            self._position = torch.arange(past, past + length, device=content.device).expand(rows, length)
        self._set_prompt(rows, past)

    def _set_prompt(self, rows: int, past: int) -> None:
        count = self._position.amax(-1, keepdim=True) + 1
        if self._given is not None:
            prompt = self._given.to(count.device)
            if rows % len(prompt) != 0:
                raise BundleError("usage", f"prompt_length has {len(prompt)} entries, but the batch has {rows} rows")
            self._prompt = prompt.repeat_interleave(rows // len(prompt), 0)
            if past == 0 and bool((self._prompt > count).any()):
                self._warn("prompt", f"prompt_length is more than the {int(count.max())} tokens of the first call")
            return
        known = self._prompt is not None and len(self._prompt) == rows
        if not known or (past == 0 and not self._in_generate):
            self._prompt = count

    def where(self, stage: SiteStage) -> Tensor | None:
        """`[rows, tokens, 1]`: whether the stage acts; None if it acts everywhere."""
        if is_everywhere(stage.positions):
            return None
        found = self._scopes.get(stage.id)
        if found is None:
            if self._prompt is None:
                raise RuntimeError("A block runs before its model was called")
            found = self._evaluate(stage, self._prompt).unsqueeze(-1)
            self._scopes[stage.id] = found
        return found

    def _evaluate(self, stage: SiteStage, prompt: Tensor) -> Tensor:
        position = self._position
        back = farthest_back(stage.positions)
        if bool((prompt < back).any()):
            problem = f"counts back {back} from the prompt's end, but the prompt has {int(prompt.min())} tokens"
            self._warn(stage.id, f"Stage {show(stage.id)} (positions {show(stage.positions)}) {problem}")
        tokens = self._tokens
        if tokens is None:

            def without_ids(array: Tensor | None, values: list[int]) -> Tensor:
                if array is None:
                    problem = f"Stage {show(stage.id)} acts by token id, but the model is called with inputs_embeds"
                    raise BundleError("usage", problem)
                return _isin(array, values)

            result: Tensor = acts(stage.positions, position, None, prompt, without_ids)
        else:
            result = acts(stage.positions, position, tokens, prompt, _isin)
        return result

    def _warn(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            warnings.warn(message, stacklevel=2)


def _isin(array: Tensor, values: list[int]) -> Tensor:
    return torch.isin(array, torch.tensor(values, dtype=array.dtype, device=array.device))
