"""A TokenFormer model folder as `convert` writes it, with 4-bit tables, so that loading is measured as well."""

import hashlib
import json
import os
import struct

from weights import SCALE, f16, f32, noise

SMALLEST, LARGEST = 1 << 20, 8 << 20  # length of the chunks of the manifest
PATTENTIONS = ("attention.query", "attention.key", "attention.value", "attention.proj", "mlp")


def _tables(config):
    """(name, rows, columns, bits), in the order of the file."""
    hidden, qkv, proj, ffn = (config[key] for key in ("hidden_size", "qkv_slot_num", "proj_slot_num", "ffn_slot_num"))
    slots = dict(zip(PATTENTIONS, (qkv, qkv, qkv, proj, ffn), strict=True))
    yield "embed.word_embeddings", config["padded_vocab_size"], hidden, 8
    for layer in range(config["num_layers"]):
        for group in (PATTENTIONS[:3], PATTENTIONS[3:4], PATTENTIONS[4:]):
            yield from ((f"layers.{layer}.{path}.key_param_tokens", slots[path], hidden, 4) for path in group)
            yield from ((f"layers.{layer}.{path}.value_param_tokens", hidden, slots[path], 4) for path in group)


def _entries(config):
    """(name, type, shape, bytes, the pieces of its data)"""
    for name, rows, columns, bits in _tables(config):
        size, groups = rows * columns * bits // 8, columns // 32
        scale = SCALE if bits == 4 else SCALE / 16
        yield f"{name}.weight_packed", "I32", [rows, columns * bits // 32], size, noise(size)
        yield f"{name}.weight_scale", "F16", [rows, groups], 2 * rows * groups, [f16(scale, rows * groups)]
        yield f"{name}.weight_shape", "I64", [2], 16, [struct.pack("<qq", rows, columns)]
    hidden = config["hidden_size"]
    for name, number in (("norm.weight", 1.0), ("norm.bias", 0.0)):
        yield name, "F32", [hidden], 4 * hidden, [f32(number, hidden)]


def _header(config):
    header = {
        "__metadata__": {
            "format": "pt",
            "quantization": "q4",
            **{key: str(config[key]) for key in config if key.endswith("slot_num")},
        }
    }
    offset = 0
    for name, kind, shape, size, _ in _entries(config):
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 16)
    return struct.pack("<Q", len(text)) + text


def _quantization():
    def group(bits, target):
        weights = {
            "num_bits": bits,
            "type": "int",
            "symmetric": True,
            "strategy": "group",
            "group_size": 32,
            "dynamic": False,
        }
        return {"targets": [target], "weights": weights, "input_activations": None, "output_activations": None}

    groups = {"group_0": group(4, "re:layers\\..*_param_tokens$"), "group_1": group(8, "re:embed\\.word_embeddings$")}
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": groups,
        "ignore": ["norm"],
    }


def _listed(folder, name):
    path = os.path.join(folder, name)
    size = os.path.getsize(path)
    listed = {"path": name, "size": size}
    length = min(max(-(-(size // 16) // SMALLEST) * SMALLEST, SMALLEST), LARGEST)
    whole, chunks = hashlib.sha256(), []
    with open(path, "rb") as file:
        while chunk := file.read(length):
            whole.update(chunk)
            chunks.append(hashlib.sha256(chunk).hexdigest())
    if size > SMALLEST:
        listed.update(chunk_bytes=length, chunks=chunks)
    return {**listed, "sha256": whole.hexdigest()}


def write(shape, folder):
    os.makedirs(folder, exist_ok=True)
    hidden = shape["hidden"]
    config = {
        "model_type": "tokenformer",
        "num_layers": shape["layers"],
        "hidden_size": hidden,
        "num_attention_heads": shape["heads"],
        "qkv_slot_num": hidden,
        "proj_slot_num": hidden,
        "ffn_slot_num": 4 * hidden,
        "padded_vocab_size": shape["vocabulary"],
        "max_position_embeddings": 2048,
        "rotary_pct": 0.25,
        "rotary_emb_base": 10000.0,
        "norm_activation_type": "l2_norm_gelu",
        "layernorm_epsilon": 1e-5,
        "tie_word_embeddings": True,
    }
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(_header(config))
        for *_, pieces in _entries(config):
            file.writelines(pieces)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump({**config, "quantization_config": _quantization()}, file, indent=1)
    names = ("model.safetensors", "config.json")
    with open(os.path.join(folder, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump({"format": 1, "files": [_listed(folder, name) for name in names]}, file, indent=1)
