#!/usr/bin/env python3
"""Writes tests/vectors/quant_python_gguf.bin, a small file that the gguf package for Python made.

Run from the repository root with the Python packages gguf and numpy:
    python3 tests/tools/make_gguf_vector.py
test_gguf.c knows its contents, so that the reader is held to a writer that is not ours."""
import gguf
import numpy as np

w = gguf.GGUFWriter("tests/vectors/quant_python_gguf.bin", "llama")
w.add_uint8("t.u8", 250)
w.add_int8("t.i8", -100)
w.add_uint16("t.u16", 65000)
w.add_int16("t.i16", -32000)
w.add_uint32("t.u32", 4000000000)
w.add_int32("t.i32", -2000000000)
w.add_uint64("t.u64", 9000000000000000000)
w.add_int64("t.i64", -9000000000000000000)
w.add_float32("t.f32", 0.1)
w.add_float64("t.f64", 0.1)
w.add_bool("t.yes", True)
w.add_bool("t.no", False)
w.add_string("t.str", "na\u00efve \u6f22")
w.add_array("t.ints", [3, -4, 5])
w.add_array("t.floats", [0.5, -0.25])
w.add_array("t.strs", ["", "one", "\u20ac"])
w.add_custom_alignment(64)
a = np.arange(6 * 32, dtype=np.float32).reshape(6, 32) / 4
w.add_tensor("a.weight", a)
w.add_tensor("b.weight", a[:3].astype(np.float16))
w.add_tensor(
    "c.weight",
    gguf.quants.quantize(a, gguf.GGMLQuantizationType.Q8_0),
    raw_dtype=gguf.GGMLQuantizationType.Q8_0,
)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
