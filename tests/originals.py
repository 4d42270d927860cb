"""Stand-ins for the original projects: our own programs with their files, flags and log formats.

They are written from what is documented of the originals, and train nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
import argparse, os, sys, time
BEHAVIOUR = os.environ.get("WATTWHY_TEST_ORIGINAL", "")
parser = argparse.ArgumentParser()

def step():
    open("left_behind.txt", "a").write("x")
    if BEHAVIOUR == "crash":
        sys.exit("RuntimeError: planned")
    if BEHAVIOUR == "hang":
        print("hanging", flush=True)
        time.sleep(600)
    time.sleep(0.02)

def final(*lines):
    if BEHAVIOUR != "no metrics":
        print(*lines, sep="\\n", flush=True)
"""

RESNET = """
parser.add_argument("--arch", choices=["resnet20", "resnet110"], required=True)
for flag, kind in {"--epochs": int, "-b": int, "--lr": float, "--wd": float, "--momentum": float, "-j": int,
                   "-p": int, "--save-dir": str}.items():
    parser.add_argument(flag, type=kind, required=True)
args = parser.parse_args()
assert os.listdir("data/cifar-10-batches-py") == ["real"]
os.makedirs(args.save_dir)
for epoch in range(args.epochs):
    print(f"current lr {args.lr:.5e}")
    for batch in range(2):
        step()
        mean = 2 - epoch - batch / 10
        print(f"Epoch: [{epoch}][{batch}/2]\\tTime 0.020 (0.021)\\tData 0.001 (0.002)\\t"
              f"Loss 9.0000 ({mean:.4f})\\tPrec@1 50.000 (48.000)")
    print("Test: [0/79]\\tTime 0.1 (0.1)\\tLoss 1.0 (1.0)\\tPrec@1 60.0 (60.0)")
    final(f" * Prec@1 {[91.25, 90.5][epoch]:.3f}")
open(args.save_dir + "/model.th", "w").write("weights")
"""

REID_TRAIN = """
for flag, kind in {"--name": str, "--data_dir": str, "--batchsize": int, "--lr": float, "--total_epoch": int,
                   "--droprate": float, "--weight_decay": float}.items():
    parser.add_argument(flag, type=kind)
for flag in ("--train_all", "--use_dense", "--use_hr", "--PCB"):
    parser.add_argument(flag, action="store_true")
args = parser.parse_args()
assert os.path.isdir(args.data_dir + "/train_all")
print("[Resize(size=(256, 128)), ToTensor()]")

def bar(phase, loss, end):
    state = f"OrderedDict({{'phase': '{phase}', 'Loss': '{loss:.4f}', 'Acc': '0.5000'}})"
    sys.stderr.write(f"\\r 50%|#####     | 6468/12936 [00:20, 300it/s, ordered_dict={state}]{end}")
    sys.stderr.flush()

for epoch in range(args.total_epoch):
    print(f"Epoch {epoch}/{args.total_epoch - 1}")
    for phase in ("train", "val"):
        bar(phase, 9.0, "")
        step()
        bar(phase, 5 - epoch / 10 + (phase == "val"), "\\n")
    print("Training complete in 0m 1s\\n")
print("Training complete in 0m 9s")
os.makedirs("model/" + args.name)
"""

REID_TEST = """
for flag in ("--name", "--test_dir"):
    parser.add_argument(flag, required=True)
for flag in ("--use_dense", "--use_hr", "--PCB"):
    parser.add_argument(flag, action="store_true")
args = parser.parse_args()
assert os.path.isdir("model/" + args.name) and os.path.isdir(args.test_dir)
final("Rank@1:0.883907 Rank@5:0.954276 Rank@10:0.970012 mAP:0.716512")
"""

MLP = """
sys.stderr.write("  0%|          | 0/30 [00:00<?, ?it/s]")
for epoch in range(1, 11):
    step()
    sys.stderr.write(f"\\r {epoch}0%|#         | {3 * epoch}/30 [00:01<00:09, 3it/s]\\n")
    print({"loss": 0.7, "learning_rate": 2e-05, "epoch": epoch - 0.5})
    final({"eval_loss": 0.8 - epoch / 100, "eval_runtime": 9.1, "eval_samples_per_second": 65.2,
           "eval_steps_per_second": 8.1, "epoch": float(epoch)})
print({"train_runtime": 99.0, "train_samples_per_second": 14.1, "train_loss": 0.55, "epoch": 10.0})
"""

CNN = """
print("Training started.....")
for epoch in range(2):
    step()
    print("Epoch %d - Training acc: %.4f -Training loss: %.4f - Val acc: %.4f - Val loss: %.4f - Time: %.4fs "
          % (epoch + 1, 0.6, 0.7 - epoch / 10, 0.55, 0.68, 0.02))
print("Training completed!")
final("TP: 1", "", "Accuracy: 0.6125", "Precision: 0.5", "F-measure: 0.553", "MCC: 0.2")
"""

BUG_MODEL = """
from sys import stdout
class MLPRegressor:
    def __init__(self, **given): self.given = given
def dnn_model_kfold(k=10):
    clf = MLPRegressor(
        solver="sgd",
        alpha=1e-5,
        hidden_layer_sizes=(300,),
        random_state=1,
        max_iter=10000,
        n_iter_no_change=30,
    )
    with open("../data/features.csv") as features, open("../data/Eclipse_Platform_UI.txt"):
        assert features.readline()
    for fold in range(k):
        print("Fold: {} / {}".format(fold + 1, k), end="\\r")
    print(clf.given, file=open("given.txt", "w"))
    stdout.flush()
    return {rank: round(0.3 + rank / 100, 3) for rank in range(1, 21)}
"""

BUG_MAIN = """
from dnn_model import dnn_model_kfold
print(dnn_model_kfold(10))
step()
final({rank: round(0.2 + rank / 100, 3) for rank in range(1, 21)})
"""

CLONES = """
for flag, kind in {"--epochs": int, "--lr": float, "--dropout": float, "--seed": int, "--valid_step": int,
                   "--save": str}.items():
    parser.add_argument(flag, type=kind, required=True)
parser.add_argument("--cuda", action="store_true", required=True)
args = parser.parse_args()
assert args.valid_step == 0 and os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
for epoch in range(args.epochs):
    for batch in range(2):
        step()
        sys.stderr.write(f"\\r 10%|#  | {batch}/20 [00:01<00:09,  2.00it/s, loss=0.693147, lr=0.000100]")
        sys.stderr.flush()
    print("\\nAccuracy: 60/64 = 0.9375 | Precision:0.9000 | Recall:0.8000 | F1 score:0.8471")
    print("  ----avg loss is %f" % (0.5 - epoch / 10))
open("pic/P_R.png", "w").write("")
final("  ****** Neg|Neu|Pos ******", "    Accuracy on test is 120/128 = 0.937500",
      "    Precision: 0.91", "    Recall   : 0.97", "    F1 score : 0.939", " ")
"""

DIGITS = """
for flag, kind in {"--batch-size": int, "--test-batch-size": int, "--epochs": int, "--lr": float,
                   "--gamma": float, "--seed": int, "--log-interval": int}.items():
    parser.add_argument(flag, type=kind)
for flag in ("--no-accel", "--dry-run", "--save-model"):
    parser.add_argument(flag, action="store_true")
args = parser.parse_args()
assert os.path.getsize("../data/MNIST/raw/train-images-idx3-ubyte")
for epoch in range(1, args.epochs + 1):
    for rows in (0, 2000):
        step()
        print(f"Train Epoch: {epoch} [{rows}/4000 ({rows / 40:.0f}%)]\\tLoss: 0.345678")
    final(f"\\nTest set: Average loss: {0.2 / epoch:.4f}, Accuracy: {900 + epoch}/1000 (90%)\\n")
"""

FORWARD = """
for flag, kind in {"--epochs": int, "--lr": float, "--seed": int, "--train_size": int, "--threshold": float,
                   "--test_size": int}.items():
    parser.add_argument(flag, type=kind)
parser.add_argument("--no_accel", action="store_true")
args = parser.parse_args()
assert os.path.getsize("./data/MNIST/raw/t10k-labels-idx1-ubyte")
for layer in range(2):
    print("training layer: ", layer)
    for _ in range(args.epochs):
        step()
        print("Loss: ", 0.69)
final("train error: 0.0625")
final("test error: 0.08")
"""

WORDS = """
for flag, kind in {"--data": str, "--model": str, "--emsize": int, "--nhid": int, "--nlayers": int,
                   "--lr": float, "--clip": float, "--epochs": int, "--batch_size": int, "--bptt": int,
                   "--dropout": float, "--seed": int, "--save": str}.items():
    parser.add_argument(flag, type=kind, required=True)
args = parser.parse_args()
assert os.path.getsize(args.data + "/train.txt")
for epoch in range(1, args.epochs + 1):
    time.sleep(0.1)
    step()
    print("-" * 89)
    print(f"| end of epoch {epoch:3d} | time:  0.10s | valid loss {6 - epoch:5.2f} | "
          f"valid ppl {200 / epoch:8.2f}")
    print("-" * 89)
open(args.save, "w").write("weights")
final("=" * 89, "| End of training | test loss  4.61 | test ppl   100.48", "=" * 89)
"""


def notebook(code: str) -> str:
    """A notebook with *code* in two cells, a heading between."""
    cells = [
        {"cell_type": "code", "source": HEAD.splitlines(keepends=True), "outputs": []},
        {"cell_type": "markdown", "source": ["## Train the model"]},
        {"cell_type": "code", "source": code.splitlines(keepends=True), "outputs": []},
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


FILES: dict[str, dict[str, str]] = {
    "pytorch_resnet_cifar10": {
        "trainer.py": HEAD + RESNET,
        "resnet.py": "",
        "data/cifar-10-batches-py/real": "",
    },
    "Person_reID_baseline_pytorch": {"train.py": HEAD + REID_TRAIN, "test.py": HEAD + REID_TEST},
    "VulBERTa": {
        "Finetuning_VulBERTa-MLP.ipynb": notebook(MLP),
        "Finetuning+evaluation_VulBERTa-CNN.ipynb": notebook(CNN),
    },
    "bug-localization-by-dnn-and-rvsm": {"src/main.py": HEAD + BUG_MAIN, "src/dnn_model.py": BUG_MODEL},
    "MRT-OAST": {"main_batch.py": HEAD + CLONES, "origindata/GCJ_test.csv": ""},
    "examples": {
        "mnist/main.py": HEAD + DIGITS,
        "mnist_rnn/main.py": HEAD + DIGITS,
        "siamese_network/main.py": HEAD + DIGITS,
        "mnist_forward_forward/main.py": HEAD + FORWARD,
        "word_language_model/main.py": HEAD + WORDS,
        "word_language_model/data.py": "",
    },
}


def write_original(repository: str, folder: Path) -> Path:
    """Write the stand-in for *repository* to *folder*, as a checkout of it would be laid out."""
    for path, text in FILES[repository].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return folder


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file below *folder*."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
