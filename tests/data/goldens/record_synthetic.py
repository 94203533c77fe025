"""Records what transformers computes for a checkpoint that sluice-synth made, in float32.

usage: record_synthetic.py MODEL_FOLDER GOLDENS_FILE

The tests need none of this: they compare with the recorded file. When sluice-synth's values change, make the model
again as tests/support/checkpoints.cmake does and run this on it. Needs torch, transformers, h5py, numpy.
"""
import sys

import h5py
import numpy as np
import torch
import transformers

FOLDER, OUTPUT = sys.argv[1:3]
LENGTHS = {"p0_1": 1, "p1_2": 2, "p2_7": 7, "p3_33": 33, "p4_64": 64, "p5_65": 65, "p6_130": 130, "p7_210": 210}
LONGEST_WITH_HIDDEN_STATES = 33
GREEDY_TOKENS = 48

torch.manual_seed(0)
model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="eager")
model.eval()
ids_of_prompts = np.random.default_rng(7)

seen = {"hidden": [], "router": []}
for layer in model.model.layers:
    layer.register_forward_hook(
        lambda module, inputs, output: seen["hidden"].append(output[0] if isinstance(output, tuple) else output))
for name, module in model.named_modules():
    if type(module).__name__.endswith("TopKRouter"):
        module.register_forward_hook(lambda module, inputs, output: seen["router"].append(output))


def run(ids):
    seen["hidden"].clear()
    seen["router"].clear()
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0]


def record_routers(group):
    probabilities = torch.stack([logits.softmax(-1) for logits, _, _ in seen["router"]])
    k = seen["router"][0][2].shape[-1]
    best = probabilities.sort(-1, descending=True).values
    group["router_ids"] = torch.stack([chosen for _, _, chosen in seen["router"]]).numpy().astype(np.int32)
    group["router_weights"] = torch.stack([weights for _, weights, _ in seen["router"]]).numpy()
    group["router_gap"] = (best[..., k - 1] - best[..., k]).numpy()


def record_continuation(group, ids):
    tokens, margins = [], []
    for _ in range(GREEDY_TOKENS):
        best = run(ids + tokens)[-1].topk(2)
        tokens.append(int(best.indices[0]))
        margins.append(float(best.values[0] - best.values[1]))
    group["greedy_ids"] = np.array(tokens, np.int32)
    group["greedy_margin"] = np.array(margins, np.float32)


def record(group, ids):
    logits = run(ids)
    group["ids"] = np.array(ids, np.int32)
    group["last_logits"] = logits[-1].numpy()
    best = logits.topk(8)
    group["top8_ids"] = best.indices.numpy().astype(np.int32)
    group["top8_logits"] = best.values.numpy()
    if len(ids) > 1:
        nll = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
        group["token_nll"] = nll.numpy()
    if len(ids) <= LONGEST_WITH_HIDDEN_STATES:
        group["hidden"] = torch.cat(seen["hidden"]).numpy()
    if seen["router"]:
        record_routers(group)
    record_continuation(group, ids)


with h5py.File(OUTPUT, "w") as file:
    file.attrs["transformers"] = transformers.__version__
    file.attrs["torch"] = str(torch.__version__)
    for name, length in LENGTHS.items():
        ids = ids_of_prompts.integers(0, model.config.vocab_size, length).tolist()
        record(file.create_group(f"prompts/{name}"), ids)
