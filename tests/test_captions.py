"""Captions: found beside pictures and in tables, kept in packs, read by the model, and asked for in prompts."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from pellucid.conditioners.caption import WEIGHTS, Caption
from pellucid.conditioners.prompt import LONGEST, Part, expand, parts
from pellucid.conditioners.words import BUCKETS, PIECES, pieces, split
from pellucid.core.errors import ConfigError, DataError, UnsupportedError
from pellucid.core.items import Item, Rejection
from pellucid.core.random import Key, Keyed
from pellucid.data.pack import Pack
from pellucid.data.write import write_pack
from pellucid.guidance.classifier_free import ClassifierFree
from pellucid.model.model import Model
from pellucid.networks.initialise import initialise
from pellucid.sources.find import find
from pellucid.training.conditions import Conditions
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.prepare import prepare
from pellucid.training.train import train
from picture_files import IMAGE, picture, read, tarred, zipped

HOME = Path(__file__).parents[1]
TOLD = {"a/0.png": ("a red hat",), "a/1.png": ("一只猫", "a cat"), "2.png": ()}
SMALL = (
    "network.name=mlp", "network.width=32", "network.depth=2", "training.batch=16", "training.log_samples=16",
    "text.features=16", "text.depth=1", "text.length=6", "training.evaluate=false", "training.precision=float32",
    "training.ema=[0.05]", "sampling.steps=6",
)  # fmt: skip


def captions(path: Path) -> dict[str, tuple[str, ...]]:
    """Of each picture, by its place."""
    items, rejected, _ = read(path)
    assert {(one.source, one.reason) for one in rejected} <= {("gone.png", GONE)}
    return {item.source.partition(".zip/")[2] or item.source: item.captions for item in items}


def folder(place: Path, companions: dict[str, str]) -> Path:
    for index, name in enumerate(TOLD):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(picture(index))
    for name, text in companions.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    return place


GONE = "named in '.' by its metadata, but not there"
LINES = "\n".join([
    json.dumps({"file_name": "a/0.png", "text": "a  red\nhat"}), "no json", '["no row"]',
    json.dumps({"file_name": "./a/1.png", "caption": ["一只猫", "", "a cat"]}),
    json.dumps({"file_name": "gone.png", "text": "x"}),
])  # fmt: skip
WAYS: dict[str, dict[str, str]] = {
    "jsonl": {"metadata.jsonl": LINES},
    "text": {"a/0.txt": "a red hat\n", "metadata.jsonl": LINES.partition("\n")[2]},
    "nested": {"a/metadata.csv": "file_name,text,other\n0.png,a red hat,1\n", "metadata.jsonl": LINES},
}


@pytest.mark.parametrize("way", WAYS)
def test_captions_beside_pictures(tmp_path: Path, way: str) -> None:
    """In metadata files, the nearest first, and in texts of the same name; in a folder and in an archive of it."""
    place = folder(tmp_path / "in", WAYS[way])
    assert captions(place) == TOLD
    files = {file.relative_to(place).as_posix(): file.read_bytes() for file in place.rglob("*") if file.is_file()}
    assert captions(zipped(tmp_path / "x.zip", files)) == TOLD


def test_a_text_on_its_own_is_still_a_rejected_file(tmp_path: Path) -> None:
    place = folder(tmp_path, {"notes.txt": "x"})
    assert [(one.source, bool(one.reason)) for one in read(place)[1]] == [("notes.txt", True)]


def test_files_that_metadata_names_and_that_are_not_there(tmp_path: Path) -> None:
    """They are listed, each once; one that two metadata files name is there."""
    table = "\n".join(json.dumps({"file_name": name, "text": "x"}) for name in ("a/0.png", "gone.png", "a/lost.png"))
    place = folder(tmp_path / "in", {"metadata.jsonl": table, "a/metadata.csv": "file_name,text\n0.png,y\n"})
    found = [one for one in find(place) if isinstance(one, Rejection)]
    assert [(one.source, one.reason) for one in found] == [
        ("gone.png", GONE), ("a/lost.png", GONE),
    ]  # fmt: skip


def test_a_metadata_file_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_text(LINES, encoding="utf-8")
    place = folder(tmp_path / "in", {})
    (place / "metadata.jsonl").symlink_to(tmp_path / "secret.jsonl")
    assert set(captions(place).values()) == {()}


def test_captions_in_shards_and_tables(tmp_path: Path) -> None:
    shard = {"0.png": picture(0), "0.txt": b"a red hat", "1.png": picture(1), "1.json": b'{"text": ["x y", 3]}'}
    assert list(captions(tarred(tmp_path / "x.tar", shard)).values()) == [("a red hat",), ("x y",)]
    made = pa.table({"image": [picture(0), picture(1)], "prompt": ["a red hat", None], "text": [1, 2]})
    parquet.write_table(made, tmp_path / "x.parquet")
    assert list(captions(tmp_path / "x.parquet").values()) == [("a red hat",), ()]


COLUMN = "says"
"""A name that means nothing to us."""


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "parquet"])
def test_captions_of_a_column_that_was_asked_for(tmp_path: Path, kind: str) -> None:
    """By its name, before the likeliest; texts beside pictures are no column."""
    row = {"text": "no", COLUMN: "a red hat"}
    files = {"0.png": picture(0), "0.json": json.dumps(row).encode(), "1.png": picture(1), "1.txt": b"no"}
    table = "\n".join(json.dumps(one) for one in ({"file_name": "0.png", **row}, {"file_name": "1.png", "text": "no"}))
    place = tmp_path / f"x.{kind}"
    if kind == "folder":
        place = folder(place, {"metadata.jsonl": table, "2.txt": "no"})
        (place / "0.png").write_bytes(picture(3))
    elif kind == "zip":
        zipped(place, {"0.png": picture(0), "1.png": picture(1), "metadata.jsonl": table.encode()})
    elif kind == "tar":
        tarred(place, files)
    else:
        made = pa.table({"image": [picture(0), picture(1)], "text": ["no", "no"], COLUMN: ["a red hat", None]})
        parquet.write_table(made, place)
    found = {item.captions for item in IMAGE.read(place, column=COLUMN) if isinstance(item, Item)}
    assert found == {("a red hat",), ()}


def test_training_on_a_column(tmp_path: Path) -> None:
    """It alone is the condition; another name, or a pack of another, is refused."""
    rows = [{"file_name": name, COLUMN: "red", "text": "no"} for name in TOLD]
    place = folder(tmp_path / "in", {"metadata.jsonl": "\n".join(map(json.dumps, rows))})
    config = apply_settings(RunConfig(), [f"data.path={place}", *SMALL, f"data.condition={COLUMN}"])
    found = prepare(config, tmp_path / "pack")
    assert (found.facts.captions, found.facts.labels) == (True, ())
    assert {found.pack.captions(index) for index in range(3)} == {("red",)}
    assert prepare(config, tmp_path / "pack").pack.content == found.pack.content
    for asked in ("colour", "captoin"):
        with pytest.raises(DataError, match=f"condition = {asked}, but nothing in .* has a text under that name"):
            prepare(apply_settings(config, [f"data.condition={asked}"]), tmp_path / "other")
    with pytest.raises(ConfigError, match="does not hold captions of column 'text'"):
        prepare(apply_settings(config, [f"data.path={tmp_path / 'pack'}", "data.condition=text"]), tmp_path / "other")


def test_a_table_without_the_column_says_which_there_are(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"image": [picture(0)], "text": ["x"]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="no column 'says' of text among image, text"):
        list(IMAGE.read(tmp_path / "x.parquet", column=COLUMN))


def test_labels_of_metadata_say_more_than_folders(tmp_path: Path) -> None:
    """And what sampling writes can be read again."""
    samples = IMAGE.decode(np.zeros((2, 1, 8, 8), np.uint8))
    IMAGE.write(samples, tmp_path / "out", labels=["x", "猫"], captions=["one", "two"])
    assert [(item.label, item.captions) for item in read(tmp_path / "out")[0]] == [("x", ("one",)), ("猫", ("two",))]


def test_a_pack_keeps_captions(tmp_path: Path) -> None:
    pack = write_pack(IMAGE.read(folder(tmp_path / "in", WAYS["jsonl"])), tmp_path / "pack")
    assert [pack.captions(index) for index in range(3)] == [TOLD["2.png"], TOLD["a/0.png"], TOLD["a/1.png"]]
    assert pack.captioned == 2
    pack.verify()
    bare = write_pack(IMAGE.read(folder(tmp_path / "bare", {})), tmp_path / "bare-pack")
    assert (bare.captioned, bare.captions(0)) == (0, ())
    names = sorted(file.name for file in bare.folder.iterdir())
    assert names == ["labels.npy", "manifest.json", "samples.npy", "sources.jsonl"]
    assert bare.content != pack.content
    text = pack.folder / "captions.txt"
    text.write_bytes(text.read_bytes().replace(b"red", b"bad"))
    with pytest.raises(DataError, match=r"captions\.txt changed"):
        pack.verify()


# ---------------------------------------------------------------------------------------------------------------- words


def test_words_and_their_pieces() -> None:
    found = [word.text for word in split("The CAT's “hat”, naïve 3 собака!! 🐱")]
    assert found == ["the", "cat's", "hat", "naïve", "3", "собака", "🐱"]
    cat, cats = (set(pieces(next(split(word)))) for word in ("cat", "cats"))
    dog = set(pieces(next(split("dog"))))
    assert len(cat & cats) >= 3
    assert not cat & dog
    long = next(split("x" * 300))
    assert len(pieces(long)) <= PIECES
    assert all(0 <= number < BUCKETS for number in (*cat, *cats, *pieces(long)))
    alone, in_pair = (pieces(next(split(text))) for text in ("帽", "帽子"))
    assert set(alone) < set(in_pair)


def test_prompts() -> None:
    assert parts("(red:1.5) hat (on:0) a cat (that purrs)") == [
        Part("red", 1.5), Part(" hat "), Part("on", 0.0), Part(" a cat (that purrs)"),
    ]  # fmt: skip
    assert expand("a {red|blue|} hat") == ["a red hat", "a blue hat", "a hat"]
    assert expand("a cat") == ["a cat"]


@pytest.mark.parametrize(("prompt", "message"), [
    ("x" * (LONGEST + 1), "2,001 characters"), ("a\x00b", r"U\+0000"), ("a {red|blue hat", "brace"),
    ("{a|b}" * 7, "make 128 prompts"), ("(x:9)", "out of range"), ("(x:1.2.3)", "no number"),
])
def test_prompts_that_are_refused(prompt: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        [parts(one) for one in expand(prompt)]


def encoder(**settings: Any) -> Caption:
    made = Caption(width=8, **{"features": 16, "depth": 2, "length": 6, **settings})
    initialise(made, Key(0, "init"))
    return made


def test_what_a_caption_becomes() -> None:
    caption = encoder()
    value = caption.parse(["a red hat", "一只猫"], 3)
    vector, tokens, _ = caption(value)
    assert tokens is not None
    assert (vector.shape, tokens.shape) == ((3, 8), (3, 6, 256))
    assert torch.equal(tokens[0], tokens[2])  # prompts repeat
    assert (tokens[0] - tokens[1]).abs().max() > 0.1
    assert torch.equal(caption.encode(["a red hat"])[0], value[0])
    alone = caption(value[1:2])
    torch.testing.assert_close(alone.tokens, tokens[1:2], rtol=0, atol=1e-6)
    order = caption(caption.parse("hat red a", 1))
    torch.testing.assert_close(order.vector, vector[:1], rtol=0, atol=1e-6)  # a sum of words
    assert (order.tokens - tokens[:1]).abs().max() > 1e-4
    assert torch.equal(caption.encode(["a b c d e f"]), caption.encode(["a b c d e f g h"]))  # what is too long is cut


def test_a_reader_is_the_same_whenever_it_is_made() -> None:
    """Weights come from the seed alone, none from torch's own generator."""
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(Caption(width=8, features=16, depth=1))
        initialise(made[-1], Key(0, "init"))
    assert all(torch.equal(value, made[1].state_dict()[name]) for name, value in made[0].state_dict().items())


def test_weights_lead_from_nothing_to_the_word_and_beyond() -> None:
    caption = encoder()
    nothing, plain, none, twice = (
        caption(caption.parse(prompt, 1)).tokens for prompt in ("", "red hat", "(red hat:0)", "(red hat:2)")
    )
    torch.testing.assert_close(none[:, :2], nothing[:, :2], rtol=0, atol=1e-6)
    torch.testing.assert_close(twice[:, :2], 2 * plain[:, :2] - nothing[:, :2], rtol=0, atol=1e-5)
    assert torch.equal(twice[:, 2:], plain[:, 2:])
    assert torch.equal(caption.parse("(red:1) hat", 1), caption.parse("red hat", 1))
    assert int(caption.parse("(red:1.25)", 1)[0, 0, 0]) == 1.25 * WEIGHTS


def test_known_words_come_with_the_weights() -> None:
    caption = encoder()
    caption.learn_words(["A cat", "帽子"])
    other = encoder()
    other.load_state_dict(caption.state_dict())
    assert other.unknown_words("a (dog:1.2) 帽") == (["dog"], 3)
    assert encoder().unknown_words("x") == (["x"], 1)


@pytest.mark.parametrize("value", [[], 3, [3]])
def test_prompts_that_are_no_text(value: Any) -> None:
    with pytest.raises(ConfigError, match="expected text"):
        encoder().parse(value, 1)


def test_phrasings_that_are_asked_about_are_in_no_caption() -> None:
    """benchmarks/prompts/held-out.tsv against the pack of emoji, which has all of the pictures."""
    with zipfile.ZipFile(HOME / "data" / "emoji" / "emoji.zip") as archive:
        rows = [json.loads(line) for line in archive.read("metadata.jsonl").splitlines()]
        names = set(archive.namelist())
    assert {row["file_name"] for row in rows} == {name for name in names if name.endswith(".webp")}
    known = {caption for row in rows for caption in row["captions"]}
    lines = (HOME / "benchmarks" / "prompts" / "held-out.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(lines) == 100
    for code, _, *phrasings in (line.split("\t") for line in lines):
        assert f"noto/{code}.webp" in names
        assert not {" ".join(phrasing.casefold().split()) for phrasing in phrasings} & known


# ------------------------------------------------------------------------------------------------------- training with it


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of pictures whose grey is in their caption and whose style is their label."""
    home = tmp_path_factory.mktemp("captions")
    rows = []
    for index in range(24):
        place = home / "data" / ("left", "right")[index % 2] / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture(25 * (index // 2 % 2)))
        words = (["dark", "黑"], ["light", "白"])[index // 2 % 2]
        rows.append({"file_name": place.relative_to(home / "data").as_posix(), "text": words})
    (home / "data" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    train(home / "data", home / "run", samples=4096, settings=SMALL)
    return home / "run"


def test_words_decide_what_comes_out(run: Path) -> None:
    model = Model.load(run)
    assert (model.facts.captions, model.facts.labels) == (True, ("left", "right"))
    asked = (("dark", None, None), ("白", None, 1.5), ("light", "left", None), ("黑", "right", 1.5))
    means = {
        prompt: float(model.sample(16, prompt=prompt, label=label, guidance=guidance).data.mean())
        for prompt, label, guidance in asked
    }
    assert max(means["dark"], means["黑"]) < -0.5 < 0.0 < min(means["白"], means["light"])
    away = model.sample(16, prompt="light", negative="dark", guidance=2)
    assert (away.nfe, away.prompts) == (12, ("light",) * 16)
    assert float(away.data.mean()) > means["light"] - 0.2


def test_a_negative_prompt_is_what_guidance_leads_away_from(run: Path) -> None:
    """By the formula, from three calls of the denoiser."""
    model = Model.load(run)
    x, t = torch.randn(2, *model.facts.shape), torch.tensor([0.7, 0.4])
    caption = model.conditioners["caption"]
    light, dark = {"caption": caption.parse("light", 2)}, {"caption": caption.parse("dark", 1)}
    found = ClassifierFree(model.denoiser, 3.0, away=dark)(x, t, light).mean
    both = [model.denoiser(x, t, {"caption": one["caption"].expand(2, -1, -1)}).mean for one in (dark, light)]
    torch.testing.assert_close(found, both[0] + 3 * (both[1] - both[0]), rtol=0, atol=1e-5)


def test_what_cannot_be_asked_of_it(run: Path, tmp_path: Path) -> None:
    model = Model.load(run)
    for asked, message in (
        ({"prompt": "dark", "negative": "light"}, "no effect without guidance"),
        ({"guidance": 2}, "give a label or a prompt"),
        ({"prompt": "dark", "label": "up"}, "Unknown label 'up'"),
    ):
        with pytest.raises(ConfigError, match=message):
            model.sample(1, **asked)
    plain = folder(tmp_path / "in", {})
    config = apply_settings(RunConfig(), [f"data.path={plain}", *SMALL, "data.condition=caption"])
    with pytest.raises(DataError, match=r"has no captions: expected metadata\.jsonl"):
        prepare(config, tmp_path / "pack")
    bare = train(plain, tmp_path / "bare", samples=16, condition="none", settings=SMALL)
    with pytest.raises(UnsupportedError, match="trained without captions"):
        bare.sample(1, prompt="dark")


def test_conditions_drop_together_and_alone(run: Path) -> None:
    """Within four standard deviations; what is kept is one of the sample's own captions, each of them now and then."""
    model, pack, ids = Model.load(run), Pack.open(run / "data"), np.arange(24)
    caption = model.conditioners["caption"]
    assert isinstance(caption, Caption)
    conditions = Conditions(model.conditioners, drop=0.25)
    found = [conditions(pack, ids, pack.labels[ids], torch.zeros(24, 1, 8, 8), Keyed(0, ids), epoch) for epoch in range(40)]
    labels, texts = (torch.stack([one[name] for one in found]) for name in ("label", "caption"))
    none = [labels == 2, (texts == caption.null(1)).flatten(2).all(-1)]
    for share, expected in ((none[0], 1 - 0.75**2), (none[1], 1 - 0.75**2), (none[0] & none[1], 0.25 + 0.75 * 0.25**2)):
        assert abs(float(share.double().mean()) - expected) < 4 * (expected * (1 - expected) / share.numel()) ** 0.5
    own = torch.stack([caption.encode(pack.captions(sample)) for sample in range(24)])  # (24, 2, length, ...)
    alike = (texts.unsqueeze(2) == own).flatten(3).all(-1)
    assert bool((alike.sum(-1) == (~none[1]).long()).all())
    assert float(alike.double().mean((0, 1)).min()) > 0.2
