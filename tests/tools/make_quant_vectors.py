#!/usr/bin/env python3
"""Writes tests/vectors/quant_TYPE.bin: random blocks and the values the gguf package gives them.

Run from the repository root with the Python packages gguf and numpy:
    python3 tests/tools/make_quant_vectors.py
File: u32 type, u32 elements, u32 bytes of blocks, the blocks, float32 values; little-endian.
The seed is fixed, so a run changes nothing unless the gguf package's arithmetic did."""
import struct

import gguf
import numpy as np

# float16 bit patterns of scales: zeros, subnormals, ends of the range, ordinary ones, signs.
SCALES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x2C66, 0xA1B7, 0x3C00, 0x1234]
# type: (blocks, offsets of float16 fields in a block)
TYPES = {
    "Q4_0": (22, [0]),
    "Q4_1": (22, [0, 2]),
    "Q5_0": (22, [0]),
    "Q5_1": (22, [0, 2]),
    "Q8_0": (22, [0]),
    "Q2_K": (7, [80, 82]),
    "Q3_K": (7, [108]),
    "Q4_K": (7, [0, 2]),
    "Q5_K": (7, [0, 2]),
    "Q6_K": (7, [208]),
}
# Made last, so that the numbers of the others stay as they are.
LATER = {"IQ4_NL": (22, [0]), "IQ4_XS": (7, [0])}


def save(name, data, values):
    kind = gguf.GGMLQuantizationType[name]
    data = np.ascontiguousarray(data).view(np.uint8).ravel()
    values = np.ascontiguousarray(values, dtype="<f4").ravel()
    assert np.isfinite(values).all()
    with open(f"tests/vectors/quant_{name}.bin", "wb") as f:
        f.write(struct.pack("<III", kind, values.size, data.size))
        f.write(data.tobytes())
        f.write(values.tobytes())


def blocks(rng, name):
    kind = gguf.GGMLQuantizationType[name]
    count, fields = (TYPES | LATER)[name]
    size = gguf.GGML_QUANT_SIZES[kind][1]
    data = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for i in range(count):
        for j, at in enumerate(fields):
            if count - i > 3 or j:  # the last blocks: an ordinary scale of either sign
                bits = SCALES[(i * (2 * j + 1) + 3 * j) % len(SCALES)]
            else:
                bits = int(np.float16(rng.normal() * 0.05).view(np.uint16))
            data[i, at : at + 2] = np.array([bits], dtype="<u2").view(np.uint8)
    return data, gguf.quants.dequantize(data, kind)


def main():
    rng = np.random.default_rng(20240611)
    for name in TYPES:
        save(name, *blocks(rng, name))
    half = rng.integers(0, 1 << 16, 300, dtype=np.uint16)
    half = half[(half >> 10 & 31) != 31]
    half = np.concatenate([np.array(SCALES, dtype=np.uint16), half])
    save("F16", half, gguf.quants.dequantize(half.view(np.float16), gguf.GGMLQuantizationType.F16))
    wide = rng.integers(0, 1 << 16, 300, dtype=np.uint16)
    wide = wide[(wide >> 7 & 255) != 255]
    wide = np.concatenate([np.array([0, 0x8000, 1, 0x807F, 0x7F7F, 0x3F80], np.uint16), wide])
    save("BF16", wide, gguf.quants.dequantize(wide.view(np.uint8), gguf.GGMLQuantizationType.BF16))
    single = rng.integers(0, 1 << 32, 100, dtype=np.uint32)
    single = single[(single >> 23 & 255) != 255].view(np.float32)
    save("F32", single, gguf.quants.dequantize(single, gguf.GGMLQuantizationType.F32))
    for name in LATER:
        save(name, *blocks(rng, name))


main()
