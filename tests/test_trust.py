"""What is trusted with nothing: names are no places, words no markup, files no code."""

import ast
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from commands import call
from pellucid.serving.page import FOLDER as WEB
from pellucid.serving.page import HEADERS
from picture_files import IMAGE, picture, read, zipped
from served import serving, small_model

PACKAGE = Path(__file__).parents[1] / "pellucid"
SCRIPT = "<script>alert(1)</script>"


# ---------------------------------------------------------------------------------------------------------- places


def test_labels_and_captions_are_no_places(tmp_path: Path) -> None:
    """Files are named by number; what samples were to be stands in a file beside them."""
    out = tmp_path / "deep" / "out"
    samples = IMAGE.decode(np.zeros((2, 3, 4, 4), np.uint8))
    wild = ["../../../escaped", "/tmp/absolute\n\0.png"]
    IMAGE.write(samples, out, labels=wild, captions=wild)
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == ["000000.png", "000001.png",
                                                                                   "metadata.jsonl"]
    lines = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines] == wild


def test_metadata_names_no_file_outside(tmp_path: Path) -> None:
    """What a table says of a file elsewhere is said to be lost, and that file is not opened."""
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(picture(5))
    (folder / "a.png").write_bytes(picture(1))
    wild = ("../secret.png", str(tmp_path / "secret.png"), "a.png/../../secret.png")
    (folder / "metadata.jsonl").write_text("".join(json.dumps({"file_name": name, "text": "x"}) + "\n" for name in wild))
    items, rejected, _ = read(folder)
    assert [item.source for item in items] == ["a.png"]
    assert len(rejected) == len(wild)
    assert all("not there" in one.reason for one in rejected)


def test_a_recipe_is_a_file_of_settings_and_nothing_of_another_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret").write_text("root:x:0:0\npassword = hunter2\n")
    code, out, err = call(f"train {tmp_path} --out {tmp_path / 'run'} --recipe {tmp_path / 'secret'} --samples 64", capsys)
    assert code == 2
    assert "hunter2" not in out + err
    assert not (tmp_path / "run" / "config.toml").exists()


# ------------------------------------------------------------------------------------------------------ web and HTML


def test_the_page_makes_no_markup_of_words() -> None:
    """No script of the page turns a text into elements, and its policy runs no script but its files."""
    sources = {file.name: file.read_text(encoding="utf-8") for file in WEB.glob("*.js")}
    assert len(sources) > 5
    for name, source in sources.items():
        assert not re.search(r"(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc",
                             source), name
    assert not re.search(r"\son\w+=|javascript:", (WEB / "index.html").read_text(encoding="utf-8"))
    policy = dict(part.strip().partition(" ")[::2] for part in HEADERS["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["script-src"]) == ("'none'", "'self'")
    assert HEADERS["X-Content-Type-Options"] == "nosniff"


def test_what_is_sent_comes_back_as_json() -> None:
    """Script in a prompt, a label, a file's name: told as it came, in a type that no browser runs."""
    import httpx2

    with serving(small_model(labels=("cat", SCRIPT))) as served:
        for path, body in (("/v1/samples", {"label": f"{SCRIPT}x"}), ("/v1/images/generations", {"prompt": SCRIPT,
                                                                                                 "size": SCRIPT})):
            answer = httpx2.post(served.address + path, json=body, timeout=60)
            assert answer.status_code == 400
            assert answer.headers["content-type"] == "application/json"
        answer = httpx2.get(f"{served.address}/v1/models/{SCRIPT}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


def test_a_query_that_is_no_text() -> None:
    """It used to end as a fault of the server."""
    import socket

    with serving(small_model()) as served:
        port = int(served.address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
            wire.sendall(b"GET /v1/nowhere/?\xf3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            found = b"".join(iter(lambda: wire.recv(4096), b""))
    assert re.match(rb"HTTP/1\.1 4\d\d ", found)


# ------------------------------------------------------------------------------------------------------------- code


FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads",
    "shelve.open",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "joblib.load", "dill.load", "dill.loads", "tarfile.extractall",
    "shutil.unpack_archive", "torch.hub.load",
}  # fmt: skip
METHODS = {"extractall", "extract"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def problems(source: str) -> list[str]:
    """What runs code that came from outside, or unpacks it to the disk."""
    found = []
    for name, node in calls(ast.parse(source)):
        keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
        bad = name in FORBIDDEN or name.rpartition(".")[2] in METHODS
        bad |= name == "torch.load" and keywords.get("weights_only") != "True"
        bad |= keywords.get("shell", "False") != "False" or keywords.get("allow_pickle", "False") != "False"
        bad |= keywords.get("trust_remote_code", "False") != "False"
        bad |= name.endswith("np.load") and "allow_pickle" not in keywords
        found += [f"line {node.lineno}: {name}"] * bad
    return found


@pytest.mark.parametrize(("source", "count"), [
    ("eval(x)", 1), ("torch.load(f)", 1), ("torch.load(f, weights_only=True)", 0), ("run(a, shell=True)", 1),
    ("yaml.load(f)", 1),
    ("yaml.safe_load(f)", 0), ("np.load(f, allow_pickle=True)", 1), ("np.load(f)", 1), ("a.extractall()", 1),
    ("model.eval()", 0),
])  # fmt: skip
def test_forbidden_calls_are_found(source: str, count: int) -> None:
    assert len(problems(source)) == count


def test_the_package_runs_no_code_from_outside() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 300
    found = {str(file.relative_to(PACKAGE)): told for file in files if (told := problems(file.read_text(encoding="utf-8")))}
    assert found == {}


def test_pickles_in_arrays_stay_shut(tmp_path: Path) -> None:
    """By the one door that NumPy has for them."""
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "good.png").write_bytes(picture(1))
    zipped(tmp_path / "a.zip", {"x.npy": stream.getvalue()})
    items, rejected, _ = read(tmp_path)
    assert [item.source for item in items] == ["good.png"]
    assert "object values" in rejected[0].reason
