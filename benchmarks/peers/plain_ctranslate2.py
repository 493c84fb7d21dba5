"""CTranslate2's generate_batch, called plainly, at the fastest of some settings; or, as `ceiling`, its forward pass
over as many known tokens: what sampling could reach if everything but the arithmetic were free (.venvs/project)."""

import json
from concurrent.futures import ThreadPoolExecutor

import common
import ctranslate2
import numpy as np

a = common.arguments()
END = "<|endoftext|>"
with open(a["folder"] + "/vocabulary.json") as file:
    names = json.load(file)
generators = {}


def generator(workers, threads):
    if (workers, threads) not in generators:
        generators.clear()
        generators[workers, threads] = ctranslate2.Generator(
            a["folder"], compute_type=a.get("compute_type", "int8"), inter_threads=workers, intra_threads=threads
        )
    return generators[workers, threads]


def sample(choice):
    workers, threads, batch = choice
    results = generator(workers, threads).generate_batch(
        [[END]] * (workers * batch * a["rounds"]),
        max_batch_size=batch,
        max_length=a["length"],
        sampling_topk=0,
        end_token=END,
        return_scores=True,
        return_end_token=True,
        include_prompt_in_result=False,
    )
    return sum(len(result.sequences_ids[0]) for result in results), len(results)


def forward(choice):
    workers, threads, batch = choice
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(names) - 1, (workers * a["rounds"], batch, a["length"]))
    batches = [[[names[i] for i in row] for row in some] for some in rows]
    model = generator(workers, threads)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(model.forward_batch, batches))
    return rows.size, workers * a["rounds"] * batch


run = {"sample": sample, "ceiling": forward}[a["way"]]
cores = a["cores"]
chosen = common.best([(w, max(1, cores // w), b) for w in {cores, 1} for b in a["batches"]], run)
common.serve({"workers": chosen[0], "threads": chosen[1], "batch": chosen[2]}, lambda: run(chosen))
