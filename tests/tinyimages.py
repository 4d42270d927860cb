"""A folder like ``images/`` with the repository ``tiny``, whose programs sleep instead of training."""

from __future__ import annotations

import shutil
from pathlib import Path

BASE = Path(__file__).resolve().parents[1] / "images" / "base"
TOML = """
name = "tiny"
program = "train.py"
data = "data.py"

[hyperparameters.epochs]
role = "epochs"
type = "int"
flag = "--epochs"
default = 2
range = [1, 4]

[hyperparameters.learning_rate]
type = "float"
flag = "--learning-rate"
default = 0.1
range = [0.01, 1.0]
distribution = "log-uniform"

[hyperparameters.seed]
role = "seed"
type = "int"
flag = "--seed"
default = 1
range = [0, 99]

[metrics.accuracy]
unit = "1"
better = "higher"
"""

PROGRAM = '''
"""Programs that sleep instead of training; the model's name is what it does."""
import os, signal, subprocess, sys, time
from pathlib import Path
import contract

EPOCH_S = float(os.environ.get("WATTWHY_TINY_EPOCH_S", "0.02"))

def train(training):
    training.data_source = "tiny"
    training.ready()
    for epoch in range(training.values["epochs"]):
        time.sleep(EPOCH_S)
        training.epoch(1.0 / (epoch + 1))
    return {"accuracy": 0.9}

def crash(training):
    train(training)
    print("about to divide by zero")
    raise ZeroDivisionError("planned")

def hang(training):
    training.ready()
    time.sleep(600)
    return {}

def stubborn(training):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return hang(training)

def garbage(training):
    train(training)
    with open(os.environ["WATTWHY_EVENTS"], "ab") as file:
        file.write(bytes(range(128, 200)) + b"\\n")
    return {"accuracy": 0.9}

def torn(training):
    train(training)
    with open(os.environ["WATTWHY_EVENTS"], "ab") as file:
        file.write(b'{"event":"epo')
    os._exit(0)

def silent(training):
    """Passes by the contract's own check of the final metrics."""
    train(training)
    training.end({})
    os._exit(0)

def nan(training):
    train(training)
    return {"accuracy": float("nan")}

def flaky(training):
    """Fails once: the first run leaves a file."""
    mark = Path(os.environ["WATTWHY_TINY_MARK"])
    if not mark.exists():
        mark.touch()
        raise RuntimeError("first time")
    return train(training)

def bytes_(training):
    os.write(1, bytes(range(128, 256)))
    raise SystemExit(3)

def work(seconds):
    """Keep a processor busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass

def spin(training):
    """Really works: what a load must be."""
    training.data_source = "tiny"
    training.ready()
    for epoch in range(training.values["epochs"]):
        work(EPOCH_S)
        training.epoch(1.0 / (epoch + 1))
    return {"accuracy": 0.9}

def late(training):
    """Takes half a second to load."""
    time.sleep(0.5)
    return spin(training)

def never(training):
    """Is never done with loading."""
    time.sleep(600)

def unready(training):
    """Ends before it is ready."""
    raise RuntimeError("no data")

def tired(training):
    """Works for a second, and then no more."""
    training.ready()
    work(1.0)
    time.sleep(600)

def brood(training):
    """Leaves processes behind in groups of their own, of which one has no parent any more."""
    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, *sys.argv[1:]]); time.sleep(0.1)"
    grand = ["-c", "import time; time.sleep(600)", "grandchild", str(training.output)]
    subprocess.Popen([sys.executable, "-c", code, *grand], start_new_session=True).wait()
    subprocess.Popen([sys.executable, *grand], start_new_session=True)
    return spin(training)

def brood_hang(training):
    training.values["epochs"] = 0
    brood(training)
    time.sleep(600)

contract.resolve_device = lambda name: "cpu"  # without torch
names = dict(spin=spin, late=late, never=never, unready=unready, tired=tired, brood=brood,
             brood_hang=brood_hang, good=train, crash=crash, hang=hang, stubborn=stubborn, garbage=garbage,
             torn=torn, silent=silent, nan=nan, flaky=flaky, bytes=bytes_, other=train)
contract.main(__file__, names)
'''

DATA = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True)
(folder / "source.json").write_text("{}")
"""

MODELS = (
    *("good", "crash", "hang", "stubborn", "garbage", "torn", "silent", "nan", "flaky", "bytes", "other"),
    *("spin", "late", "never", "unready", "tired", "brood", "brood_hang"),
)


def write(folder: Path) -> Path:
    """Write it all into *folder*, which is given back."""
    tiny = folder / "tiny"
    tiny.mkdir(parents=True)
    (folder / "base").mkdir()
    for module in BASE.glob("*.py"):
        shutil.copy(module, folder / "base")
    cost = "cost = { startup_s = 0.1, epoch_s = 0.02 }"
    models = "\n".join(f'[models.{name}]\nmetrics = ["accuracy"]\n{cost}' for name in MODELS)
    (tiny / "repository.toml").write_text(TOML + models + "\n")
    (tiny / "train.py").write_text(PROGRAM)
    (tiny / "data.py").write_text(DATA)
    return folder
