"""The reference tools' side of `bench metrics`: does one piece of work some times, prints one JSON line.

    python3 metrics.py THREADS ROUNDS WORK FOLDER

Needs torch, scipy<1.18, safetensors, pytorch-fid==0.3.0, torch-fidelity==0.4.0. `prepare` writes what both sides
work on into FOLDER: features, pictures, and the hash-filled network of tests/fixtures/metrics.py.
"""

import json
import pathlib
import resource
import subprocess
import sys
import time

import numpy as np
import torch

THREADS, ROUNDS, WORK, FOLDER = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4])
FIXTURES = pathlib.Path(__file__).parents[2] / "tests" / "fixtures"
torch.set_num_threads(THREADS)
torch.set_grad_enabled(False)


def prepare():
    from PIL import Image
    from safetensors.numpy import save_file

    dice = np.random.default_rng(0)
    mix = dice.standard_normal((256, 2048)).astype(np.float32) * np.linspace(1, 0.05, 256, dtype=np.float32)[:, None]
    features = {}
    for name, shift in (("real", 0.0), ("fake", 0.1)):
        rows = dice.standard_normal((10_000, 256), dtype=np.float32) @ mix * 0.05
        rows += dice.standard_normal((10_000, 2048), dtype=np.float32) * 0.1 + shift
        features[name] = np.maximum(rows + 0.3, 0).astype(np.float32)  # as after a ReLU
    save_file(features, FOLDER / "features.safetensors")
    for name in ("real", "fake"):
        (FOLDER / name).mkdir()
        for number in range(1000):
            y, x = np.mgrid[0:64, 0:64] / 64
            waves = np.sin(8 * (x[..., None] * dice.uniform(-2, 2, 3) + y[..., None] * dice.uniform(-2, 2, 3)))
            picture = 128 + 90 * waves + dice.normal(0, 10, (64, 64, 3))
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(FOLDER / name / f"{number:04}.png")
    weights = ["--weights", str(FOLDER / "network.pth")]
    subprocess.run([sys.executable, str(FIXTURES / "metrics.py"), *weights], check=True)


def peak():
    """Bytes that this process, or the largest of those that it started, has held at most."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024


def now():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def timed(work, rounds=ROUNDS):
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        value = work()
        seconds.append(time.perf_counter() - begin)
    return seconds, float(value)


def features():
    from safetensors.torch import load_file

    both = load_file(FOLDER / "features.safetensors")
    return both["fake"], both["real"]


def statistics():
    return [(rows.double().numpy().mean(0), np.cov(rows.double().numpy(), rowvar=False)) for rows in features()]


def inception():
    import pytorch_fid.inception as module

    state = torch.load(FOLDER / "network.pth")
    module.load_state_dict_from_url = lambda *_, **__: state
    network = module.InceptionV3([3], resize_input=False).eval()
    pictures = torch.rand(32, 3, 299, 299)
    best = None
    for layout in (torch.contiguous_format, torch.channels_last):
        run = network.to(memory_format=layout)
        batch = pictures.to(memory_format=layout)
        run(batch)
        found = timed(lambda: run(batch)[0].sum().item())
        if best is None or np.median(found[0]) < np.median(best[0]):
            best = found
    return best


def fid():
    script = (
        "import sys, torch; torch.set_num_threads(%d); import pytorch_fid.inception as m; "
        "state = torch.load(%r); m.load_state_dict_from_url = lambda *a, **k: state; "
        "sys.argv = ['pytorch_fid', %r, %r, '--device', 'cpu']; from pytorch_fid.fid_score import main; main()"
    ) % (THREADS, str(FOLDER / "network.pth"), str(FOLDER / "real"), str(FOLDER / "fake"))

    def run():
        output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        return float(output.stdout.split("FID:")[1])

    return timed(run, 1)


def frechet_scipy():
    from pytorch_fid.fid_score import calculate_frechet_distance

    (mu1, s1), (mu2, s2) = statistics()
    return timed(lambda: calculate_frechet_distance(mu1, s1, mu2, s2), 1)


def frechet_torch_fidelity():
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    one, two = [{"mu": mu, "sigma": sigma} for mu, sigma in statistics()]
    return timed(lambda: fid_statistics_to_metric(one, two, False)["frechet_inception_distance"])


def frechet_cholesky():
    """The best known way: eigenvalues of L^T S2 L."""
    import scipy.linalg

    (mu1, s1), (mu2, s2) = statistics()

    def run():
        factor = np.linalg.cholesky(s1)
        roots = np.sqrt(scipy.linalg.eigvalsh(factor.T @ s2 @ factor).clip(0)).sum()
        return (mu1 - mu2) @ (mu1 - mu2) + np.trace(s1) + np.trace(s2) - 2 * roots

    return timed(run)


def kid():
    from torch_fidelity.metric_kid import kid_features_to_metric

    fake, real = features()
    return timed(lambda: kid_features_to_metric(fake, real, verbose=False)["kernel_inception_distance_mean"])


def prdc():
    from torch_fidelity.metric_prc import prc_features_to_metric

    fake, real = features()
    return timed(lambda: prc_features_to_metric(fake, real, verbose=False)["precision"])


if WORK == "prepare":
    prepare()
else:
    work = {
        "inception": inception, "fid": fid, "frechet-scipy": frechet_scipy,
        "frechet-torch-fidelity": frechet_torch_fidelity, "frechet-cholesky": frechet_cholesky,
        "kid": kid, "prdc": prdc,
    }[WORK]
    seconds, value = work()
    print(json.dumps({"seconds": seconds, "value": value, "peak": peak()}))
