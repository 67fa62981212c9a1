"""A model of Qwen2's architecture as a folder for transformers.js: 4-bit weights by onnxruntime's own operators, in the
way in which models for it are exported (one product for query, key and value; the head on the last position only)."""

import json
import math
import os
import struct

import protobuf as pb
from weights import SCALE, f16, f32, noise

MICROSOFT = "com.microsoft"
CONTEXT = 4096
BASE = 1e6
EPSILON = 1e-6


class _Graph:
    def __init__(self, half, data):
        self.half, self.data = half, data  # `data`: the file of the large tensors
        self.kind = pb.FLOAT16 if half else pb.FLOAT
        self.nodes, self.initializers = [], []

    def full(self, count, number):
        return (f16 if self.half else f32)(number, count)

    def node(self, operator, inputs, outputs, domain="", **attributes):
        outputs = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(pb.node(operator, inputs, outputs, domain, **attributes))
        return outputs[0]

    def small(self, name, kind, dimensions, data):
        self.initializers.append(pb.tensor(name, kind, dimensions, data))
        return name

    def large(self, name, kind, dimensions, pieces):
        self.data.write(bytes(-self.data.tell() % 4096))
        start = self.data.tell()
        self.data.writelines(pieces)
        self.refer(name, kind, dimensions, (start, self.data.tell() - start))
        return start, self.data.tell() - start

    def refer(self, name, kind, dimensions, place):
        file = os.path.basename(self.data.name)
        self.initializers.append(pb.external_tensor(name, kind, dimensions, file, *place))

    def product(self, name, x, rows, columns, tied=None):
        """x · Wᵀ with 4-bit weights in groups of 32; `tied`: where these stand already."""
        groups = columns // 32
        shapes = [(f"{name}.q", pb.UINT8, [rows, groups, 16]), (f"{name}.s", self.kind, [rows, groups])]
        if tied:
            for shape, place in zip(shapes, tied, strict=True):
                self.refer(*shape, place)
        else:
            self.large(*shapes[0], noise(rows * columns // 2))
            self.large(*shapes[1], [self.full(rows * groups, SCALE)])
        inputs = [x, f"{name}.q", f"{name}.s"]
        sizes = dict(K=columns, N=rows, bits=4, block_size=32, accuracy_level=4)
        return self.node("MatMulNBits", inputs, f"{name}.y", MICROSOFT, **sizes)

    def norm(self, name, hidden, x, added=None):
        """RMS norm; with `added`, of the sum, which is the second result."""
        weight = self.small(f"{name}.w", self.kind, [hidden], self.full(hidden, 1.0))
        if added is None:
            normed = self.node(
                "SimplifiedLayerNormalization", [x, weight], f"{name}.y", axis=-1, epsilon=EPSILON, stash_type=1
            )
            return normed, x
        outputs = [f"{name}.y", "", "", f"{name}.sum"]
        self.node("SkipSimplifiedLayerNormalization", [x, added, weight], outputs, MICROSOFT, epsilon=EPSILON)
        return outputs[0], outputs[3]


def _rotations(graph, head):
    angles = [position / BASE ** (2 * i / head) for position in range(CONTEXT) for i in range(head // 2)]
    letter = "e" if graph.half else "f"
    for name, function in (("cos", math.cos), ("sin", math.sin)):
        data = struct.pack(f"<{len(angles)}{letter}", *map(function, angles))
        graph.small(name, graph.kind, [CONTEXT, head // 2], data)


def _lengths(graph):
    """What the attention wants to know of the mask."""
    graph.small("one", pb.INT64, [1], struct.pack("<q", 1))
    graph.small("first", pb.INT64, [], struct.pack("<q", 1))
    graph.node("ReduceSum", ["attention_mask", "one"], "mask_sum", keepdims=0)
    graph.node("Sub", ["mask_sum", "one"], "mask_last")
    graph.node("Cast", ["mask_last"], "lengths", to=pb.INT32)
    graph.node("Shape", ["attention_mask"], "mask_shape")
    graph.node("Gather", ["mask_shape", "first"], "mask_total", axis=0)
    graph.node("Cast", ["mask_total"], "total_length", to=pb.INT32)


def _layer(graph, shape, layer, x, normed):
    hidden, heads, kv, inner = (shape[key] for key in ("hidden", "heads", "kv_heads", "inner"))
    head = hidden // heads
    name, width = f"layer{layer}", (heads + 2 * kv) * head
    qkv = graph.product(f"{name}.qkv", normed, width, hidden)
    bias = graph.small(f"{name}.qkv.b", graph.kind, [width], graph.full(width, 0.0))
    qkv = graph.node("Add", [qkv, bias], f"{name}.qkv.sum")
    past = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
    present = [f"present.{layer}.{part}" for part in ("key", "value")]
    inputs = [qkv, "", "", *past, "lengths", "total_length", "cos", "sin"]
    options = dict(
        num_heads=heads,
        kv_num_heads=kv,
        do_rotary=1,
        rotary_interleaved=0,
        scale=head**-0.5,
        local_window_size=-1,
        softcap=0.0,
    )
    attention = graph.node("GroupQueryAttention", inputs, [f"{name}.attention", *present], MICROSOFT, **options)
    normed, x = graph.norm(f"{name}.norm2", hidden, x, graph.product(f"{name}.o", attention, hidden, hidden))
    gate = graph.product(f"{name}.gate", normed, inner, hidden)
    up = graph.product(f"{name}.up", normed, inner, hidden)
    gate = graph.node("Mul", [gate, graph.node("Sigmoid", [gate], f"{name}.sigmoid")], f"{name}.silu")
    inner_values = graph.node("Mul", [gate, up], f"{name}.inner")
    return graph.norm(f"{name}.norm3", hidden, x, graph.product(f"{name}.down", inner_values, hidden, inner))


def _write_graph(shape, folder, half):
    hidden, heads, kv, size = (shape[key] for key in ("hidden", "heads", "kv_heads", "vocabulary"))
    name = "model_q4f16" if half else "model_q4"
    with open(os.path.join(folder, "onnx", f"{name}.onnx_data"), "wb") as data:
        graph = _Graph(half, data)
        tied = (
            graph.large("embedding.q", pb.UINT8, [size, hidden // 2], noise(size * hidden // 2)),
            graph.large("embedding.s", graph.kind, [size, hidden // 32], [graph.full(size * hidden // 32, SCALE)]),
        )
        inputs, options = (
            ["embedding.q", "input_ids", "embedding.s"],
            dict(bits=4, block_size=32, gather_axis=0, quantize_axis=1),
        )
        embedded = graph.node("GatherBlockQuantized", inputs, "embedded", MICROSOFT, **options)
        _lengths(graph)
        _rotations(graph, hidden // heads)
        normed, x = graph.norm("norm1", hidden, embedded)
        for layer in range(shape["layers"]):
            normed, x = _layer(graph, shape, layer, x, normed)
        graph.small("last", pb.INT64, [1], struct.pack("<q", -1))
        graph.small("end", pb.INT64, [1], struct.pack("<q", 1 << 62))
        last = graph.node("Slice", [normed, "last", "end", "one"], "normed_last")
        head = graph.product("head", last, size, hidden, tied)
        graph.node("Cast", [head], "logits", to=pb.FLOAT)
    ids = [
        pb.value("input_ids", pb.INT64, ["batch_size", "sequence_length"]),
        pb.value("attention_mask", pb.INT64, ["batch_size", "total_sequence_length"]),
    ]
    cache = {prefix: [] for prefix in ("past_key_values", "present")}
    for prefix, length in (("past_key_values", "past_sequence_length"), ("present", "total_sequence_length")):
        for layer in range(shape["layers"]):
            for part in ("key", "value"):
                cache[prefix].append(
                    pb.value(f"{prefix}.{layer}.{part}", graph.kind, ["batch_size", kv, length, hidden // heads])
                )
    logits = pb.value("logits", pb.FLOAT, ["batch_size", 1, size])
    model = pb.model(
        graph.nodes,
        graph.initializers,
        [*ids, *cache["past_key_values"]],
        [logits, *cache["present"]],
        {"": 21, MICROSOFT: 1},
    )
    with open(os.path.join(folder, "onnx", f"{name}.onnx"), "wb") as file:
        file.write(model)


def _config(shape):
    end = shape["vocabulary"] - 1
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": shape["hidden"],
        "intermediate_size": shape["inner"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["kv_heads"],
        "vocab_size": shape["vocabulary"],
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": EPSILON,
        "rope_theta": BASE,
        "tie_word_embeddings": True,
        "bos_token_id": end,
        "eos_token_id": end,
        "transformers.js_config": {
            "use_external_data_format": {"model_q4.onnx": 1, "model_q4f16.onnx": 1},
            "kv_cache_dtype": {"q4f16": "float16", "fp16": "float16"},
        },
    }


def write(shape, folder):
    os.makedirs(os.path.join(folder, "onnx"), exist_ok=True)
    for half in (False, True):
        _write_graph(shape, folder, half)
    end = shape["vocabulary"] - 1
    generation = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "do_sample": False}
    for name, value in (("config", _config(shape)), ("generation_config", generation)):
        with open(os.path.join(folder, f"{name}.json"), "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1)
