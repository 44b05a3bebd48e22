"""Runs pages of documentation: blocks of Python in one process for a page, those of a shell in bash.

    pages.py PROGRAM       [folder, [[language, code], ...]] a line on standard input; what failed, or null, on the output

PROGRAM is a folder for `pellucid`, which asks this process to fork: so a command takes the time that it computes, and not
the two seconds that importing torch takes.
"""

import json
import os
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

CLIENT = """#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [json.dumps([sys.argv, os.getcwd()]).encode()], [0, 1, 2])
sys.exit(int(server.recv(8)))
"""
LONGEST = 1 << 16
SHELL = ("bash", "-euo", "pipefail", "-c")


def main(program: Path) -> None:
    import pellucid.evaluation.evaluate
    import pellucid.training.train  # noqa: F401

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(program / "socket"))
        server.listen()
        client = program / "pellucid"
        client.write_text(CLIENT.format(python=sys.executable, address=str(program / "socket")))
        client.chmod(0o755)
        os.environ["PATH"] = f"{program}:{os.environ['PATH']}"
        for line in sys.stdin:
            folder, blocks = json.loads(line)
            failed = Path(folder).with_suffix(".failed")
            forked(lambda folder=folder, blocks=blocks, failed=failed: page(Path(folder), blocks, failed, server))
            print(json.dumps(failed.read_text() if failed.exists() else None), flush=True)


def page(folder: Path, blocks: list[tuple[str, str]], failed: Path, server: socket.socket) -> int:
    """The first block that fails is written to `failed`, with what was printed."""
    os.chdir(folder)
    printed, names = folder.with_suffix(".printed"), {"__name__": "__main__"}
    with printed.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for language, code in blocks:
        try:
            shell(code, server) if language == "sh" else exec(compile(code, "block", "exec"), names)
        except Exception:
            sys.stdout.flush()
            failed.write_text(f"{code}\n{printed.read_text()}\n{traceback.format_exc()}")
            return 1
    return 0


def shell(code: str, server: socket.socket) -> None:
    """A block, and the commands that it asks for meanwhile."""
    server.settimeout(0.02)
    with subprocess.Popen([*SHELL, code], stdin=subprocess.DEVNULL) as bash:
        while bash.poll() is None:
            try:
                asked, _ = server.accept()
            except TimeoutError:
                continue
            with asked:
                message, files, *_ = socket.recv_fds(asked, LONGEST, 3)
                asked.send(str(forked(lambda: command(*json.loads(message), files))).encode())  # noqa: B023
                for file in files:
                    os.close(file)
    if bash.returncode:
        raise subprocess.CalledProcessError(bash.returncode, "bash")


def command(words: list[str], folder: str, files: list[int]) -> int:
    """`pellucid`, as if started in `folder`."""
    from pellucid.cli import main as pellucid

    os.chdir(folder)
    for standard, file in enumerate(files):
        os.dup2(file, standard)
    sys.argv = words
    try:
        pellucid()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def forked(work: Any) -> int:
    """The exit code of `work` in a process of its own."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
