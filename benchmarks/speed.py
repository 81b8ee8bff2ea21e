"""How fast is freegaze beside a plain rendering of the same method, and near what limit?

    python benchmarks/speed.py --out runs/speed.json            # about half an hour
    python benchmarks/speed.py --out runs/speed.json --quick    # below five minutes

Reference (``benchmarks/reference/plain.py``) and freegaze live in a process each and take turns; a
ratio is the median over turns of the ratio in a turn. Every work has processes of its own: where
the reference has trained before, the C library has memory at hand that it predicts faster with. The
encoder is the original's CNN-GRU: 68 neurons, 66 features, frames of 60 x 80 pixels, batches of 256
windows. Inputs are noise and weights are what a fit starts from: time depends on neither.
``--only KEY`` measures some of it.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freegaze import __version__
from freegaze.allocator import keep_freed_memory
from limits import forward_gflop, measure_limits, training_gflop
from memory import peak_bytes
from sides import N_NEURONS, OURS, REFERENCE, Ours, Reference

AIMS = {
    "train_history1_float32": 3.5,
    "train_history1_bfloat16": 6.0,
    "train_history8_float32": 10.0,
    "train_history8_bfloat16": 18.0,
    "predict_history1": 2.0,
    "predict_history8": 10.0,
    "batching_history8": 50.0,
    "saliency_all_neurons": 40.0,
    "time_to_paper_loss": 10.0,
    "memory": 2.0,
}
"""What each ratio should reach."""

Ask = Callable[[str], float]


def main() -> None:
    """Measure, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description="freegaze beside a plain rendering")
    keys = sorted({*AIMS, *OURS})
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="fewer turns, and no whole fits")
    parser.add_argument("--only", nargs="+", default=keys, metavar="KEY", choices=keys)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    began = time.perf_counter()
    limits = measure_limits()
    print(limits, flush=True)
    works: dict[str, dict[str, Any]] = {}
    for plain in REFERENCE:
        keys = [key for key in OURS if key in options.only and OURS[key][0] == plain]
        if keys:
            with (
                side("reference", options.quick, options.threads) as reference,
                side("ours", options.quick, options.threads) as ours,
            ):
                works |= take_turns(plain, keys, reference, ours, 2 if options.quick else 5)
            print({key: works[key] for key in keys}, flush=True)
    if "memory" in options.only and not options.quick:
        peaks = {who: peak_bytes(who) for who in ("reference", "ours")}
        works["memory"] = {"ratio": peaks["reference"] / peaks["ours"], "unit": "bytes", **peaks}
    if "time_to_paper_loss" in options.only and not options.quick:
        works["time_to_paper_loss"] = time_to_paper_loss(options.threads)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe_machine(options.threads),
        "limits": limits,
        "shares": shares(works, limits),
        "ratios": {key: row["ratio"] for key, row in works.items()},
        "aims": AIMS,
        "works": works,
        "minutes": (time.perf_counter() - began) / 60,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


@contextmanager
def side(who: str, is_quick: bool, n_threads: int) -> Iterator[Ask]:
    """Start one side in a process of its own, and ask it for rates by key."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(who, is_quick, n_threads, there))
    process.start()
    there.close()  # so that an end of the process ends the wait for its answer

    def ask(key: str) -> float:
        here.send(key)
        return here.recv()

    try:
        yield ask
    finally:
        process.terminate()


def serve(who: str, is_quick: bool, n_threads: int, pipe: Connection) -> None:
    """Answer keys with rates; freegaze's side keeps freed memory, as its command line does."""
    torch.set_num_threads(n_threads)
    if who == "ours":
        keep_freed_memory()
        ours = Ours(is_quick)
        while True:
            pipe.send(OURS[pipe.recv()][1](ours))
    reference = Reference(is_quick)
    while True:
        pipe.send(REFERENCE[pipe.recv()](reference))


def take_turns(
    plain: str, keys: Sequence[str], reference: Ask, ours: Ask, turns: int
) -> dict[str, dict[str, Any]]:
    """Let the reference and our ways to the same end do their work in turns."""
    plain_rates: list[float] = []
    our_rates: dict[str, list[float]] = {key: [] for key in keys}
    for _ in range(turns):
        plain_rates.append(reference(plain))
        for key in keys:
            our_rates[key].append(ours(key))
    found = {}
    for key, rates in our_rates.items():
        ratios = np.divide(rates, plain_rates)
        spread = {"least": float(ratios.min()), "greatest": float(ratios.max())}
        sides = {"reference": plain_rates, "ours": rates}
        found[key] = {"ratio": float(np.median(ratios)), **spread, "unit": "1/s", **sides}
    return found


def time_to_paper_loss(n_threads: int) -> dict[str, Any]:
    """Measure in a process of its own, which keeps freed memory."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        script = Path(__file__).with_name("time_to_loss.py")
        command = [sys.executable, str(script), "--out", str(out), "--threads", str(n_threads)]
        subprocess.run(command, check=True)
        return json.loads(out.read_text())


def shares(works: Mapping[str, Any], limits: Mapping[str, float]) -> dict[str, float]:
    """Return what share of the machine's rates training and prediction reach, by history 1."""
    gflop, found = training_gflop(N_NEURONS), {}
    if "predict_history1" in works:
        rate = forward_gflop(N_NEURONS) * float(np.median(works["predict_history1"]["ours"]))
        limit = limits["convolution_forward_float32_gflops"]
        found["prediction_of_forward_convolution_float32"] = rate / limit
    for precision in ("float32", "bfloat16"):
        row = works.get(f"train_history1_{precision}")
        if row is None:
            continue
        rate = gflop * float(np.median(row["ours"]))
        found[f"ours_of_convolution_{precision}"] = rate / limits[f"convolution_{precision}_gflops"]
        found[f"ours_of_product_{precision}"] = rate / limits[f"product_{precision}_gflops"]
        if precision == "float32":
            plain_rate = gflop * float(np.median(row["reference"]))
            found["reference_of_product_float32"] = plain_rate / limits["product_float32_gflops"]
    return found


def describe_machine(n_threads: int) -> dict[str, Any]:
    """Name what was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": n_threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "freegaze": __version__,
    }


def table(result: Mapping[str, Any]) -> str:
    """Return the ratios as a Markdown table."""
    lines = ["| work | reference | freegaze | ratio (least to greatest) | aim |"]
    lines += ["|---|---|---|---|---|"]
    for key, row in result["works"].items():
        plain, ours = (f"{np.median(row[who]):,.4g} {row['unit']}" for who in ("reference", "ours"))
        spread = f" ({row['least']:.1f} to {row['greatest']:.1f})" if "least" in row else ""
        aim = f"{AIMS[key]:g}" if key in AIMS else ""
        lines.append(f"| `{key}` | {plain} | {ours} | **{row['ratio']:.1f}**{spread} | {aim} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
