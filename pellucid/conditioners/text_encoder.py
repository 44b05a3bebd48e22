"""Text encoders that others trained, frozen: found in a folder or on the hub, loaded safely, a text read once."""

import re
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from pellucid.core.errors import ModelError
from pellucid.core.library import library
from pellucid.core.reason import reason

LIKE_BERT = (
    "albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "modernbert", "mpnet",
    "roberta", "xlm-roberta",
)  # fmt: skip
KINDS = {
    **dict.fromkeys(LIKE_BERT, "AutoModel"), "clip": "CLIPTextModel", "clip_text_model": "CLIPTextModel",
    "t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel",
}  # fmt: skip
"""The class of transformers that reads text, by what a configuration calls the model."""
MEMORY = 2**30
"""Bytes of tokens that are remembered, such as 100,000 captions of 10 tokens of 384 numbers."""
ROWS, STEP = 8, 4
"""Texts that are encoded at once, filled up to a multiple of so many tokens."""

_PREFIX, _NAME = "hub:", re.compile(r"[\w.-]+/[\w.-]+")


class TextEncoder:
    """The tokens of a text, as many as it has, in float16: layer_norm(h) of the encoder's last layer h.

    Encoders differ in the scale of h, so each token is brought to mean 0 and variance 1. Texts are encoded in arrays whose
    shape depends on the text's own length alone, the rest of an array masked or unused, so that a text's tokens are the same
    bits whatever it stands beside, and whether they are remembered or made again. The latest are remembered, as many as fit
    `MEMORY`.

    Attributes:
        width: of a token.
        longest: tokens that it can read, those included that say where a text begins and ends.
    """

    def __init__(self, tokenizer: Any, network: Any) -> None:
        self.tokenizer = tokenizer
        self.network = network.float().eval().requires_grad_(False)
        self.width = int(network.config.hidden_size)
        positions = network.config.to_dict().get("max_position_embeddings")
        self.longest = min(int(tokenizer.model_max_length), positions or int(tokenizer.model_max_length))
        self._known: OrderedDict[tuple[str, int], Tensor] = OrderedDict()
        self._bytes = 0

    @classmethod
    def find(cls, source: str) -> Self:
        """From a folder or the hub; one that is in use already is shared.

        Raises:
            ModelError: there is none, or it is not a text encoder that can be loaded safely.
            UnsupportedError: transformers is not installed.
        """
        encoder = _IN_USE.get(source)
        if not isinstance(encoder, cls):
            _IN_USE[source] = encoder = cls(*_load(source))
        return encoder

    def __call__(self, texts: Sequence[str], length: int, device: torch.device) -> list[Tensor]:
        """(n, width) of each text, of its first n <= length tokens, on the CPU; encoded on `device`."""
        found = {text: self._known[text, length] for text in texts if (text, length) in self._known}
        for text in found:
            self._known.move_to_end((text, length))
        groups: dict[int, list[tuple[str, list[int]]]] = defaultdict(list)
        for text in dict.fromkeys(text for text in texts if text not in found):
            numbers = self._cut(text, length).input_ids
            groups[-(-len(numbers) // STEP) * STEP].append((text, numbers))
        for filled, group in groups.items():
            for first in range(0, len(group), ROWS):
                some = dict(group[first : first + ROWS])
                found |= zip(some, self._encode(list(some.values()), filled, device), strict=True)
                self._remember({(text, length): found[text] for text in some})
        return [found[text] for text in texts]

    def ends(self, text: str, length: int) -> list[int]:
        """Where in the text each of these tokens ends; 0 for those that stand for none of it."""
        return [end for _, end in self._cut(text, length, return_offsets_mapping=True).offset_mapping]

    def count(self, text: str) -> int:
        """All tokens of a text, however long."""
        return len(self.tokenizer(text, verbose=False).input_ids)

    def _cut(self, text: str, length: int, **asked: Any) -> Any:
        return self.tokenizer(text, truncation=True, max_length=length, **asked)

    @torch.no_grad()
    def _encode(self, texts: list[list[int]], filled: int, device: torch.device) -> list[Tensor]:
        """Up to ROWS texts, by the numbers of their tokens, filled up to so many."""
        numbers = torch.full((ROWS, max(filled, 1)), self.tokenizer.pad_token_id or 0)
        mask = torch.zeros_like(numbers)
        mask[:, 0] = 1  # a row that sees nothing would be NaN
        for row, text in enumerate(texts):
            numbers[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = 1
        with torch.autocast(device.type, enabled=False):
            found = self.network.to(device)(input_ids=numbers.to(device), attention_mask=mask.to(device))
            tokens = layer_norm(found.last_hidden_state, (self.width,)).half().cpu()
        return [tokens[row, : len(text)].clone() for row, text in enumerate(texts)]

    def _remember(self, made: Mapping[tuple[str, int], Tensor]) -> None:
        self._known.update(made)
        self._bytes += sum(tokens.nbytes for tokens in made.values())
        while self._bytes > MEMORY:
            self._bytes -= self._known.popitem(last=False)[1].nbytes


_IN_USE: WeakValueDictionary[str, TextEncoder] = WeakValueDictionary()


def _load(source: str) -> tuple[Any, Any]:
    """Tokenizer and network."""
    place = _place(source)
    with library("transformers") as transformers:
        try:
            config = transformers.AutoConfig.from_pretrained(place, trust_remote_code=False)
            if (kind := config.model_type) in KINDS:
                tokenizer = transformers.AutoTokenizer.from_pretrained(place, trust_remote_code=False)
                network, found = getattr(transformers, KINDS[kind]).from_pretrained(
                    place, use_safetensors=True, trust_remote_code=False, output_loading_info=True
                )
        except Exception as error:  # of the network, of the hub, of any file format
            raise ModelError(f"The text encoder '{source}' cannot be loaded: {reason(error)}") from None
    if kind not in KINDS:
        raise ModelError(f"'{source}' is a {kind}, which reads no captions: expected a CLIP, a T5, or one like BERT "
                         f"({', '.join(LIKE_BERT)})")
    if missing := sorted(name for name in found["missing_keys"] if "pooler." not in name):  # we take tokens as they are
        raise ModelError(f"The weights of the text encoder '{source}' lack '{missing[0]}' and {len(missing) - 1} more")
    if not tokenizer.is_fast:
        raise ModelError(f"The tokenizer of '{source}' does not tell where in a text a token is: expected a tokenizer.json")
    return tokenizer, network


def _place(source: str) -> str:
    """The folder, which holds all that is needed, or the name on the hub."""
    folder, name = Path(source), source.removeprefix(_PREFIX)
    if not source or not folder.is_dir():
        if _NAME.fullmatch(name) and (source != name or not folder.parent.is_dir()):
            return name
        raise ModelError(f"There is no text encoder '{source}': text.source is a folder, or OWNER/NAME on the hub")
    if not (folder / "config.json").is_file():
        raise ModelError(f"'{source}' is no text encoder: expected a folder with a config.json, as transformers writes it")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"'{source}' has no weights in a safetensors file; pickles (.bin, .pt), which can run any code, "
                         "are never loaded. Have transformers write them: model.save_pretrained(FOLDER)")
    return str(folder)
