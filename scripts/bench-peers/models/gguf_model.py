"""A model of GPT-NeoX's architecture (Pythia's) as a GGUF file with 4-bit weights (Q4_0), for llama.cpp and wllama.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct

from weights import MERGES, SCALE, f16, f32, noise, vocabulary

ALIGNMENT = 32
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TENSOR_F32, TENSOR_Q4_0 = 0, 2


def _string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(kind, value):
    if kind == STRING:
        return _string(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def _entry(key, kind, value, of=None):
    head = _string(key) + struct.pack("<I", kind)
    if kind != ARRAY:
        return head + _value(kind, value)
    return head + struct.pack("<IQ", of, len(value)) + b"".join(_value(of, item) for item in value)


def _metadata(shape):
    size = shape["vocabulary"]
    return [
        _entry("general.architecture", STRING, "gptneox"),
        _entry("general.name", STRING, "random"),
        _entry("general.file_type", U32, 2),
        _entry("general.quantization_version", U32, 2),
        _entry("gptneox.context_length", U32, 2048),
        _entry("gptneox.embedding_length", U32, shape["hidden"]),
        _entry("gptneox.block_count", U32, shape["layers"]),
        _entry("gptneox.feed_forward_length", U32, 4 * shape["hidden"]),
        _entry("gptneox.attention.head_count", U32, shape["heads"]),
        _entry("gptneox.attention.layer_norm_epsilon", F32, 1e-5),
        _entry("gptneox.rope.dimension_count", U32, shape["hidden"] // shape["heads"] // 4),
        _entry("gptneox.use_parallel_residual", BOOL, True),
        _entry("tokenizer.ggml.model", STRING, "gpt2"),
        _entry("tokenizer.ggml.pre", STRING, "olmo"),
        _entry("tokenizer.ggml.tokens", ARRAY, vocabulary(size), STRING),
        _entry("tokenizer.ggml.token_type", ARRAY, [1] * (size - 1) + [3], I32),
        _entry("tokenizer.ggml.merges", ARRAY, MERGES, STRING),
        _entry("tokenizer.ggml.bos_token_id", U32, size - 1),
        _entry("tokenizer.ggml.eos_token_id", U32, size - 1),
        _entry("tokenizer.ggml.add_bos_token", BOOL, False),
    ]


def _tensors(shape):
    """(name, dimensions, kind or the number that it is full of)"""
    hidden, inner, size = shape["hidden"], 4 * shape["hidden"], shape["vocabulary"]

    def norm(name):
        return [(f"{name}.weight", [hidden], 1.0), (f"{name}.bias", [hidden], 0.0)]

    def linear(name, rows, columns):
        return [(f"{name}.weight", [columns, rows], None), (f"{name}.bias", [rows], 0.0)]

    yield "token_embd.weight", [hidden, size], None
    yield from norm("output_norm")
    yield "output.weight", [hidden, size], None
    for layer in range(shape["layers"]):
        block = f"blk.{layer}."
        yield from norm(block + "attn_norm")
        yield from linear(block + "attn_qkv", 3 * hidden, hidden)
        yield from linear(block + "attn_output", hidden, hidden)
        yield from norm(block + "ffn_norm")
        yield from linear(block + "ffn_up", inner, hidden)
        yield from linear(block + "ffn_down", hidden, inner)


def _q4_0(count):
    """Blocks of 32 numbers: a scale in half precision and 16 bytes."""
    scale = f16(SCALE, 1)
    for piece in noise(count // 2):
        yield b"".join(scale + piece[at : at + 16] for at in range(0, len(piece), 16))


def write(shape, path):
    tensors = list(_tensors(shape))
    infos, offset = [], 0
    for name, dimensions, fill in tensors:
        count = dimensions[0] * (dimensions[1] if len(dimensions) > 1 else 1)
        kind, size = (TENSOR_Q4_0, count // 32 * 18) if fill is None else (TENSOR_F32, 4 * count)
        head = _string(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        infos.append(head + struct.pack("<IQ", kind, offset))
        offset += -(-size // ALIGNMENT) * ALIGNMENT
    metadata = _metadata(shape)
    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
        file.writelines([*metadata, *infos])
        for _, dimensions, fill in tensors:
            file.write(bytes(-file.tell() % ALIGNMENT))
            if fill is None:
                file.writelines(_q4_0(dimensions[0] * dimensions[1]))
            else:
                file.write(f32(fill, dimensions[0]))
        file.write(bytes(-file.tell() % ALIGNMENT))
