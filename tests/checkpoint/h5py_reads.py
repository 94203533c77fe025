"""Reads a Sluice checkpoint with h5py alone and compares it with the safetensors that it was made from.

usage: h5py_reads.py SLUICE_SHARD MODEL_FOLDER
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import h5py
import numpy

shard, model = sys.argv[1], pathlib.Path(sys.argv[2])


def read_model():
    tensors = {}
    for path in model.glob("*.safetensors"):
        content = path.read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        for name, entry in json.loads(content[8 : 8 + length]).items():
            if name != "__metadata__":
                begin, end = (8 + length + offset for offset in entry["data_offsets"])
                tensors[name] = (entry["dtype"], entry["shape"], content[begin:end])
    return tensors


def bf16(raw, shape):
    return (numpy.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)


source = read_model()
with tempfile.TemporaryDirectory() as folder:
    out = pathlib.Path(folder) / "out"
    subprocess.run([shard, "--input", model, "--output", out, "--slices", "2"], check=True)
    slices = [h5py.File(out / f"slice-{i:03}-of-002.h5", "r") for i in range(2)]
    common = h5py.File(out / "common.h5", "r")

    _, shape, raw = source["model.embed_tokens.weight"]
    embed = numpy.concatenate([part["embed"][()] for part in slices])
    assert embed.dtype == numpy.float32, embed.dtype
    assert numpy.array_equal(embed, bf16(raw, shape))
    _, shape, raw = source["model.norm.weight"]
    assert numpy.array_equal(common["norm"][()], bf16(raw, shape))

    _, shape, raw = source["model.layers.0.self_attn.o_proj.weight"]
    values = numpy.concatenate([part["layers/0/attention/o"][()] for part in slices], axis=1)
    assert slices[0]["layers/0/attention/o"].attrs["dtype"] == b"float8_e4m3fn" or (
        slices[0]["layers/0/attention/o"].attrs["dtype"] == "float8_e4m3fn"
    )
    assert numpy.array_equal(values, numpy.frombuffer(raw, "u1").reshape(shape))
    assert slices[1]["layers/0/attention/o.scale"].attrs["col_offset"] == 64

    assert json.loads(bytes(common["files/config.json"][()])) == json.loads((model / "config.json").read_text())
    ids = {file.attrs["checkpoint_id"] for file in [common, *slices]}
    assert len(ids) == 1, ids

    def check(name, item):
        if isinstance(item, h5py.Dataset):
            assert item.chunks is None and item.id.get_offset() % 4096 == 0, name
            assert len(item.attrs["xxh3_64"]) == 16, name

    for file in [common, *slices]:
        assert file.userblock_size == 4096, file.userblock_size
        file.visititems(check)
print("h5py reads what was written")
