#!/usr/bin/env python3
"""Runs the Autobahn suite against examples/raw_echo, and fails below the bar.

    run.py --quick    groups 1-7, 9 and 10, and one case of each set of parameters of 12 and 13; half a minute
    run.py            these groups, and all of 12 and 13; some ten minutes, nearly all of it in the suite itself

The suite needs Python 2.7: the one that PYTHON2 names, `python2.7`, or one of pyenv. It is installed from PyPI into
.conformance, with a C compiler. Without a Python 2.7 a line says that it was skipped.
"""

import collections
import glob
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

# How many cases each group has. A run that leaves some out is no proof.
PLAIN = {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1}
COMPRESSED = {"12": 90, "13": 126}
# The cases `12.*.4` and `13.*.4`: one of each set of parameters.
SMOKE = {"12": 5, "13": 7}

PASSED = {"OK", "INFORMATIONAL"}
# Text that breaks off inside a character may be refused at once or at its end.
MAY_BE_NON_STRICT = {"6.4.3", "6.4.4"}
MAX_MESSAGE = 64 << 20
SECONDS = {"quick": 300, "full": 1800}

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / ".conformance"
PINS = HERE / "wstest-py27.txt"
# The last one that makes environments for Python 2.7.
VIRTUALENV = "virtualenv==20.21.1"


def main():
    mode = {(): "full", ("--quick",): "quick"}.get(tuple(sys.argv[1:])) or sys.exit(__doc__)
    python = find_python2()
    if python is None:
        print("SKIPPED: the Autobahn suite needs Python 2.7 and there is none; name one in PYTHON2", flush=True)
        return
    wstest = install(python)
    if mode == "full":
        sizes, patterns = PLAIN | COMPRESSED, [f"{group}.*" for group in PLAIN | COMPRESSED]
    else:
        sizes, patterns = PLAIN | SMOKE, [f"{group}.*" for group in PLAIN] + [f"{group}.*.4" for group in SMOKE]
    begin = time.monotonic()
    cases = run(wstest, patterns, WORK / "reports" / mode, SECONDS[mode])
    wrong = summarise(cases, sizes)
    print(f"{len(cases)} cases in {time.monotonic() - begin:.0f} s; reports in {WORK / 'reports' / mode}")
    if wrong:
        sys.exit("\n".join(["below the bar:", *wrong]))


def find_python2():
    """The first Python 2.7 that really runs: a shim of pyenv is on the path also when it has nothing to start."""
    pyenv = os.path.expanduser("~/.pyenv/versions/2.7*/bin/python")
    candidates = [os.environ.get("PYTHON2"), shutil.which("python2.7"), *sorted(glob.glob(pyenv), reverse=True)]
    probe = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
    for candidate in filter(None, candidates):
        try:
            if subprocess.run([candidate, "-c", probe], capture_output=True).returncode == 0:
                return candidate
        except OSError:
            continue
    return None


def install(python):
    """Installs the suite, unless these very pins are installed already."""
    environment, installed = WORK / "python2", WORK / "installed.txt"
    if not (installed.exists() and installed.read_text() == PINS.read_text()):
        print("installing the Autobahn suite", flush=True)
        shutil.rmtree(WORK, ignore_errors=True)
        tools = WORK / "virtualenv"
        call(sys.executable, "-m", "venv", tools)
        call(tools / "bin/pip", "install", "--quiet", VIRTUALENV)
        call(tools / "bin/virtualenv", "--quiet", "--python", python, environment)
        call(environment / "bin/pip", "install", "--quiet", "--no-deps", "--requirement", PINS)
        installed.write_text(PINS.read_text())
    return environment / "bin/wstest"


def call(*command):
    """Runs a command and shows what it says only if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\n{' '.join(map(str, command))} failed")


def run(wstest, patterns, reports, seconds):
    """Lets the suite loose on a server of its own, and returns what it found of each case."""
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    build = ["cargo", "build", "--release", "--package", "fastws", "--example", "raw_echo", "--message-format", "json"]
    built = subprocess.run(build, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    paths = [json.loads(line).get("executable") for line in built.stdout.splitlines()]
    command = [next(filter(None, paths)), "127.0.0.1:0", "--max-message", str(MAX_MESSAGE), "--deflate"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            url = server.stderr.readline().strip()
            specification = {
                "outdir": str(reports),
                "servers": [{"agent": "fastws", "url": url}],
                "cases": patterns,
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
            (reports / "spec.json").write_text(json.dumps(specification))
            # Reports are written at the end only: what hangs leaves none.
            with open(reports / "wstest.log", "w") as log:
                suite = [wstest, "-m", "fuzzingclient", "-s", reports / "spec.json"]
                subprocess.run(suite, cwd=reports, stdout=log, stderr=log, timeout=seconds, check=True)
            if server.poll() is not None:
                sys.exit(f"raw_echo ended with {server.returncode}")
        finally:
            server.terminate()
    return json.loads((reports / "index.json").read_text())["fastws"]


def summarise(cases, sizes):
    """Prints each group, and returns what is below the bar."""
    wrong = []
    groups = collections.defaultdict(collections.Counter)
    for name, found in cases.items():
        behaviour, close = found["behavior"], found["behaviorClose"]
        groups[name.split(".")[0]][behaviour] += 1
        may_be_non_strict = behaviour == "NON-STRICT" and name in MAY_BE_NON_STRICT
        if not (behaviour in PASSED or may_be_non_strict) or close not in PASSED:
            wrong.append(f"{name}: {behaviour}, close {close}")
    for group, size in sizes.items():
        counts = groups.pop(group, collections.Counter())
        said = ", ".join(f"{count} {behaviour}" for behaviour, count in counts.most_common())
        print(f"group {group:>2}: {said}")
        if sum(counts.values()) != size:
            wrong.append(f"group {group}: {sum(counts.values())} cases instead of {size}")
    return wrong


if __name__ == "__main__":
    main()
