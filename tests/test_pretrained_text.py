"""Captions read by text encoders of others: against transformers itself, in training, in prompts, and what is refused."""

import json
import os
import re
import shlex
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn.functional import layer_norm

from pellucid.cli.app import _run
from pellucid.conditioners import text_encoder
from pellucid.conditioners.pretrained import Pretrained
from pellucid.conditioners.text_encoder import TextEncoder
from pellucid.core.errors import ConfigError, InterruptedRunError, ModelError, UnsupportedError, UserError
from pellucid.core.random import Key
from pellucid.model.model import Model
from pellucid.networks.initialise import initialise
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.loop import run
from pellucid.training.prepare import Prepared
from pellucid.training.start import start_from
from pellucid.training.state import TrainingState
from pellucid.training.train import train
from picture_files import picture
from tiny_pipelines import text_config, tokenizer

WORDS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "red", "hat", "black", "ink", "grey", "lead", "white", "chalk")
GREYS = {"black ink": 0, "grey lead": 12, "white chalk": 25}
KINDS = ("bert", "clip", "t5")
LENGTH = 16
SETTINGS = (
    "text.name=pretrained", f"text.length={LENGTH}", "network.name=mlp", "network.width=16", "network.depth=1",
    "training.batch=16", "training.evaluate=false", "training.precision=float32", "sampling.steps=4",
)  # fmt: skip
SKETCHING = ("denoiser.sketch=8", "reading.batch=16", "training.checkpoint_samples=32")
READER, LAYERS = "denoiser.conditioners.caption.", ("tokens.weight", "tokens.bias", "vector.weight", "vector.bias")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """A sum's last bit may depend on how many threads share it."""
    torch.set_num_threads(1)


def words(template: str, **settings: Any) -> Any:
    """A tokenizer of whole words that frames a text as the template says."""
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    marks = [("[CLS]", 1), ("[SEP]", 2)]
    made.post_processor = tokenizers.processors.TemplateProcessing(single=template, special_tokens=marks)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", **settings
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each kind, the CLIP a whole one with its eyes, and pictures whose grey is in their captions."""
    home = tmp_path_factory.mktemp("encoders")
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 40, "num_attention_heads": 4, "num_hidden_layers": 2}
    bert = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=40, **small)
    t5 = transformers.T5Config(vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=40, num_layers=2, num_heads=4)
    eyes = transformers.CLIPVisionConfig(image_size=8, patch_size=4, **small)
    clip = transformers.CLIPConfig(text_config=text_config().to_dict(), vision_config=eyes.to_dict(), projection_dim=32)
    for kind, network, cutter in (
        ("bert", transformers.BertForMaskedLM(bert), words("[CLS] $A [SEP]", model_max_length=40)),
        ("clip", transformers.CLIPModel(clip), tokenizer()),
        ("t5", transformers.T5ForConditionalGeneration(t5), words("$A [SEP]", model_max_length=512)),
    ):
        network.save_pretrained(home / kind)
        cutter.save_pretrained(home / kind)
    (home / "data").mkdir()
    rows = []
    for index in range(24):
        said = list(GREYS)[index % 3]
        (home / "data" / f"{index}.png").write_bytes(picture(GREYS[said]))
        rows.append({"file_name": f"{index}.png", "text": [said, *said.split()]})
    (home / "data" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return home


def reader(folder: Path, **settings: Any) -> Pretrained:
    made = Pretrained(source=str(folder), **{"width": 8, "length": LENGTH, **settings})
    initialise(made, Key(0, "init"))
    return made


def theirs(folder: Path, text: str) -> torch.Tensor:
    """The hidden states of a text, as transformers gives them."""
    kind = {"bert": "BertModel", "clip": "CLIPTextModel", "t5": "T5EncoderModel"}[folder.name]
    network = getattr(transformers, kind).from_pretrained(folder).eval()
    numbers = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        return torch.as_tensor(network(**numbers).last_hidden_state[0])


# ------------------------------------------------------------------------------------------------------------- the reader


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_what_transformers_makes_of_a_text(home: Path, kind: str) -> None:
    """Up to the 11 bits of float16; beyond the end there is nothing, and the mean does not count it."""
    made = reader(home / kind)
    value = made.encode(["a red hat", "hat"])
    for text, row in zip(("a red hat", "hat"), value, strict=True):
        h = theirs(home / kind, text)
        torch.testing.assert_close(row[: len(h), 1:].float(), layer_norm(h, h.shape[-1:]), rtol=2**-10, atol=1e-4)
        assert row[:, 0].tolist() == [1.0] * len(h) + [0.0] * (LENGTH - len(h))
        assert not row[len(h) :].any()
    vector, tokens, _ = made(value)
    assert tokens is not None
    n = int(value[1, :, 0].sum())
    assert torch.equal(tokens[1, n:], made.tokens.bias.expand(LENGTH - n, -1))
    torch.testing.assert_close(vector[1], made.vector(tokens[1, :n].mean(0)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_is_the_same_bits_alone_among_others_and_again(home: Path, kind: str) -> None:
    """Made anew in other company, at another place; and remembered, which runs the encoder no more."""
    encoder = TextEncoder.find(str(home / kind))
    texts = ["a", "red", "", "a hat", "red hat", "a red hat", "ink", "lead ink", "grey", "white", "a red red red hat"]
    calls: list[int] = []
    hook = encoder.network.register_forward_hook(lambda *_: calls.append(1))
    whole = encoder(texts, LENGTH, CPU)
    made = len(calls)
    again = encoder(texts[::-1], LENGTH, CPU)[::-1]
    assert len(calls) == made
    fresh = TextEncoder(encoder.tokenizer, encoder.network)
    alone = [fresh([text], LENGTH, CPU)[0] for text in texts]
    hook.remove()
    assert len(calls) == made + len(texts)
    for tokens, *others in zip(whole, again, alone, strict=True):
        assert all(torch.equal(tokens, other) for other in others)


def test_what_is_remembered_is_bounded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest, here of two texts of three tokens."""
    shared = TextEncoder.find(str(home / "bert"))
    encoder = TextEncoder(shared.tokenizer, shared.network)
    monkeypatch.setattr(text_encoder, "MEMORY", 2 * 3 * 32 * 2)
    for text in ("a", "red", "a", "hat"):
        encoder([text], LENGTH, CPU)
    assert [text for text, _ in encoder._known] == ["a", "hat"]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_lead_from_nothing_to_the_word_and_beyond(home: Path, kind: str) -> None:
    made = reader(home / kind)
    nothing, plain, none, twice = (made.parse(one, 1)[0].float() for one in ("", "a hat", "a (hat:0)", "a (hat:2)"))
    ends = torch.tensor(made.encoder.ends("a hat", LENGTH))
    hat = torch.zeros(LENGTH, dtype=torch.bool)
    hat[: len(ends)] = ends > 2
    assert int(hat.sum()) == (3 if kind == "clip" else 1)  # its words are letters
    torch.testing.assert_close(none[hat, 1:], nothing[hat, 1:], rtol=0, atol=2e-3)
    torch.testing.assert_close(twice[hat, 1:], (2 * plain - nothing)[hat, 1:], rtol=2**-10, atol=2e-3)
    assert torch.equal(twice[~hat], plain[~hat])
    assert torch.equal(made.parse("(a:1) hat", 1), made.encode(["a hat"]))
    assert torch.equal(made.parse(["a", "hat"], 3)[2], made.encode(["a"])[0])
    assert torch.equal(made.null(2)[1], made.encode([""])[0])
    with pytest.raises(ConfigError, match="The prompt is 3: expected text"):
        made.parse(3, 1)


# ---------------------------------------------------------------------------------------------------------- in a training


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_reads_with_it(home: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And names it, by its whole path, in place of holding it."""
    monkeypatch.chdir(home)
    made = train(home / "data", tmp_path / "run", samples=64, settings=[*SETTINGS, f"text.source={kind}"])
    monkeypatch.chdir(tmp_path)
    model = Model.load(tmp_path / "run")
    assert model.config.text["source"] == str(home / kind)
    saved = {name for name in load_file(tmp_path / "run" / "model.safetensors") if name.startswith(READER)}
    assert saved == {READER + layer for layer in LAYERS}
    asked: dict[str, Any] = {"prompt": ["black ink", "a (grey:1.2) hat"], "negative": "white", "guidance": 2}
    assert torch.equal(model.sample(3, **asked).data, made.sample(3, **asked).data)


@dataclass
class Watch:
    """An observer that stops by SIGTERM after so many samples of a stage, and keeps where each began."""

    stop: tuple[str, int] | None = None
    begun: list[tuple[str, int]] = field(default_factory=list)

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:  # noqa: ARG002
        self.begun.append(("denoiser" if state.loss.trained is model.denoiser else "reader", state.seen))

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:  # noqa: ARG002
        if self.stop == (self.begun[-1][0], state.seen):
            os.kill(os.getpid(), signal.SIGTERM)


def test_its_layers_learn_to_read_and_stopped_in_either_stage_end_in_the_same_bits(home: Path, tmp_path: Path) -> None:
    """Texts are encoded again when a run goes on, in other company."""
    given = [f"data.path={home / 'data'}", "training.samples=160", *SETTINGS, *SKETCHING, f"text.source={home / 'bert'}"]
    config = apply_settings(RunConfig(), given)
    whole = run(config, tmp_path / "whole")
    begun = []
    for watch in (Watch(("reader", 64)), Watch(("denoiser", 96)), Watch()):
        text_encoder._IN_USE.clear()
        try:
            run(config, tmp_path / "parts", resume=bool(begun), observer=watch)
        except InterruptedRunError:
            assert watch.stop
        begun.append(watch.begun)
    assert begun == [[("reader", 0)], [("reader", 64), ("denoiser", 0)], [("denoiser", 96)]]
    tensors, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[name]) for name, value in tensors.items())
    start = Model.create(config.model_part(), whole.facts, config.seed)
    assert not any(torch.equal(tensors[READER + layer], start.tensors()[READER + layer]) for layer in LAYERS)


def test_layers_are_kept_for_the_same_encoder_and_made_anew_for_another(home: Path, tmp_path: Path) -> None:
    first = train(home / "data", tmp_path / "run", samples=32, settings=[*SETTINGS, f"text.source={home / 'bert'}"])
    for kind, kept in (("bert", True), ("clip", False)):
        text = {**first.config.text, "source": str(home / kind)}
        model = Model.create(first.config.model_copy(update={"text": text}), first.facts, seed=1)
        before = model.conditioners["caption"].state_dict()["tokens.weight"].clone()
        assert start_from(model, tmp_path / "run") == (0 if kept else 4)
        expected = first.conditioners["caption"].state_dict()["tokens.weight"] if kept else before
        assert torch.equal(model.conditioners["caption"].state_dict()["tokens.weight"], expected)


def test_prompts_at_the_command_line(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of words nothing is said but that there are too many; and where the encoder is gone, that it is."""
    monkeypatch.chdir(tmp_path)
    moved = copytree(home / "bert", tmp_path / "encoder")
    train(home / "data", tmp_path / "run", samples=16, settings=[*SETTINGS, f"text.source={moved}"])

    def notes(prompt: str) -> Any:
        assert _run(shlex.split(f"generate '{prompt}' --model run --json")) == 0
        return json.loads(capsys.readouterr().out)["notes"]

    assert notes("{unheard|red} (hat:1.2)") == []
    assert notes("red " * 20) == [f"Only the first {LENGTH - 2} of 20 tokens are read."]
    moved.rename(tmp_path / "elsewhere")
    text_encoder._IN_USE.clear()
    assert _run(shlex.split("generate 'a hat' --model run")) == 2
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert re.search(rf"no text encoder '{moved}'", re.sub(r"\s*\n\s*", " ", said))


# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(("source", "error", "message"), [
    ("@/gone", ModelError, r"no text encoder '.*/gone': text\.source is a folder, or OWNER/NAME on the hub"),
    ("@/empty", ModelError, r"'.*/empty' is no text encoder: expected a folder with a config\.json"),
    ("@/pickled", ModelError, r"has no weights in a safetensors file; pickles .* never loaded"),
    ("@/eyes", ModelError, r"'.*/eyes' is a vit, which reads no captions: expected a CLIP, a T5, or one like BERT"),
    ("@/strange", ModelError, r"'.*/strange' cannot be loaded: "),
    ("@/half", ModelError, r"weights of the text encoder '.*/half' lack 'encoder\.layer\.1\..*' and \d+ more"),
    ("@/damaged", ModelError, r"'.*/damaged' cannot be loaded: "),
    ("@/slow", ModelError, r"tokenizer of '.*/slow' does not tell where in a text a token is: expected a tokenizer\.json"),
    ("hub:nobody/nothing", ModelError, r"'hub:nobody/nothing' cannot be loaded: "),
    ("nobody/nothing", ModelError, r"'nobody/nothing' cannot be loaded: "),
    ("@/bert --set text.length=41", ConfigError, r"text\.length = 41: expected 4 to 40, as '.*/bert' has it"),
    ("3", ConfigError, r"conditioner\.pretrained\.source: expected text, got 3"),
    ("''", ModelError, r"no text encoder ''"),
])
def test_what_is_refused(
    source: str, error: type[UserError], message: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is trained. Without a network, which the hub would be asked over."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    name, _, setting = source.partition(" --set ")
    if name.startswith("@/") and name != "@/gone":
        spoil(copytree(home / "bert", tmp_path / name[2:]))
    settings = [*SETTINGS, f"text.source={name.replace('@', str(tmp_path))}", *([setting] if setting else [])]
    with pytest.raises(error, match=message):
        train(home / "data", tmp_path / "run", samples=16, settings=settings)
    assert not (tmp_path / "run" / "config.toml").exists()


def spoil(folder: Path) -> None:
    """Take from the BERT in a folder what it takes to be read, in the way that its name says."""
    weights, config = folder / "model.safetensors", folder / "config.json"
    match folder.name:
        case "empty":
            config.unlink()
        case "pickled":
            weights.rename(folder / "pytorch_model.bin")
        case "damaged":
            weights.write_bytes(weights.read_bytes()[:1000])
        case "half":
            kept = {name: value for name, value in load_file(weights).items() if ".layer.1." not in name}
            save_file(kept, weights, metadata={"format": "pt"})
        case "slow":
            (folder / "tokenizer.json").unlink()
            transformers.CanineTokenizer().save_pretrained(folder)
        case "eyes" | "strange":
            kind = {"eyes": "vit", "strange": "unheard-of"}[folder.name]
            config.write_text(json.dumps({"model_type": kind}), encoding="utf-8")


def test_without_the_library(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text_encoder._IN_USE.clear()
    monkeypatch.setitem(sys.modules, "transformers.utils.logging", None)
    with pytest.raises(UnsupportedError, match=r"need transformers.*: pip install 'pellucid\[pretrained\]'"):
        reader(home / "bert")
