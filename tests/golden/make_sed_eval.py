"""Seeded timelines, and what sed_eval counts in them.

    python tests/golden/make_sed_eval.py

writes sed_eval.json. It needs sed_eval 0.2.1 (2018, the newest; with dcase_util 0.2.20), in an
environment of its own.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("sed_eval.json")
LABELS = ("dog", "car", "bell", "wind")  # wind is never predicted
COLLARS = (0.1, 0.2, 0.5)
LENGTHS = (0.5, 1.0)


def files(seed=0, n=4):
    """Reference and estimate of some files: lists of (start, end, label), which overlap."""
    random = np.random.default_rng(seed)
    for _ in range(n):
        reference, estimate = [], []
        for label in LABELS:
            for _ in range(random.integers(1, 12)):
                start, length = random.uniform(0, 20), random.exponential(1.0) + 0.05
                reference.append((start, start + length, label))
                if label == "wind":
                    continue
                if random.random() < 0.8:
                    a, b = random.normal(0, 0.2, 2)
                    start, end = max(start + a, 0), start + length + b
                    if end > start:
                        estimate.append((start, end, label))
                if random.random() < 0.2:
                    start = random.uniform(0, 20)
                    estimate.append((start, start + 0.5, label))
        yield rounded(reference), rounded(estimate)


def rounded(events):
    return [(round(float(a), 3), round(float(b), 3), label) for a, b, label in events]


def main():
    import dcase_util
    import sed_eval

    def listed(events):
        return dcase_util.containers.MetaDataContainer(
            [{"event_onset": a, "event_offset": b, "event_label": c, "file": "x.wav"}
             for a, b, c in events]
        )  # fmt: skip

    found = {"versions": {name: version(name) for name in ("sed_eval", "dcase_util")}}
    found["files"] = list(files())
    options = {"event_label_list": list(LABELS)}
    kinds = {}
    for length in LENGTHS:
        kinds[f"segments {length}"] = sed_eval.sound_event.SegmentBasedMetrics(
            time_resolution=length, **options
        )
    for collar in COLLARS:
        kinds[f"events {collar}"] = sed_eval.sound_event.EventBasedMetrics(
            t_collar=collar,
            percentage_of_length=0.5,
            event_matching_type="optimal",
            empty_system_output_handling="zero_score",
            **options,
        )
    for name, metric in kinds.items():
        for reference, estimate in found["files"]:
            metric.evaluate(listed(reference), listed(estimate))
        each = [metric.class_wise[label] for label in LABELS]
        found[name] = {
            "counts": [[int(c[key]) for key in ("Ntp", "Nref", "Nsys")] for c in each],
            "micro": metric.results_overall_metrics()["f_measure"]["f_measure"],
        }
        if name.startswith("events"):  # that of segments leaves a class out that is never predicted
            average = metric.results_class_wise_average_metrics()
            found[name]["macro"] = average["f_measure"]["f_measure"]
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
