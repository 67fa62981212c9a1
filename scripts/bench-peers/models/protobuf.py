"""As much of protobuf and of ONNX's messages as writing a graph takes, so that no package is needed.

The numbers of the fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

import struct

FLOAT, UINT8, INT32, INT64, FLOAT16 = 1, 2, 6, 7, 10
_EXTERNAL = 1
_ATTRIBUTE_FLOAT, _ATTRIBUTE_INT = 1, 2


def _varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(*fields):
    """(number, value) each; a value is an int, a str, bytes (a message too) or a float, or a list of these."""
    out = []
    for number, value in fields:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, int):
                out.append(_varint(number << 3) + _varint(item))
            elif isinstance(item, float):
                out.append(_varint(number << 3 | 5) + struct.pack("<f", item))
            else:
                data = item.encode() if isinstance(item, str) else item
                out.append(_varint(number << 3 | 2) + _varint(len(data)) + data)
    return b"".join(out)


def tensor(name, kind, dimensions, data):
    return message((1, list(dimensions)), (2, kind), (8, name), (9, data))


def external_tensor(name, kind, dimensions, file, offset, length):
    """A tensor whose bytes stand in another file."""
    place = {"location": file, "offset": str(offset), "length": str(length)}
    entries = [message((1, key), (2, value)) for key, value in place.items()]
    return message((1, list(dimensions)), (2, kind), (8, name), (13, entries), (14, _EXTERNAL))


def node(operator, inputs, outputs, domain="", **attributes):
    encoded = []
    for name, value in attributes.items():
        number, kind = (2, _ATTRIBUTE_FLOAT) if isinstance(value, float) else (3, _ATTRIBUTE_INT)
        encoded.append(message((1, name), (number, value), (20, kind)))
    return message((1, inputs), (2, outputs), (3, outputs[0]), (4, operator), (5, encoded), (7, domain))


def value(name, kind, dimensions):
    """An input or output; a dimension is a number or a name."""
    dims = [message((1 if isinstance(d, int) else 2, d)) for d in dimensions]
    shape = message((1, dims))
    return message((1, name), (2, message((1, message((1, kind), (2, shape))))))


def model(nodes, initializers, inputs, outputs, operators):
    """`operators`: version by domain."""
    graph = message((1, nodes), (2, "graph"), (5, initializers), (11, inputs), (12, outputs))
    sets = [message((1, domain), (2, version)) for domain, version in operators.items()]
    return message((1, 10), (2, "bench-peers"), (7, graph), (8, sets))
