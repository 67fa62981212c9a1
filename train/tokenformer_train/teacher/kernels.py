"""Triton versions of the teacher's small operations for one step of decoding."""

import torch
import triton
import triton.language as tl


@triton.jit
def rotate_and_store(
    QKV, COS, SIN, AT, Q, K, V, T, H: tl.constexpr, KVH: tl.constexpr, N: tl.constexpr, HEADS: tl.constexpr
):
    """Rotary embedding of queries and keys (heads of 64), and the new row of the caches."""
    b = tl.program_id(0)
    at = tl.load(AT + b)
    i = tl.arange(0, 32)
    d = tl.arange(0, 64)
    c = tl.load(COS + at * 32 + i)
    s = tl.load(SIN + at * 32 + i)
    h = tl.arange(0, HEADS)
    present = (h < H + KVH)[:, None]
    source = QKV + b.to(tl.int64) * N + h[:, None] * 64 + i[None, :]
    x = tl.load(source, mask=present, other=0.0).to(tl.float32)
    y = tl.load(source + 32, mask=present, other=0.0).to(tl.float32)
    u = x * c[None, :] - y * s[None, :]
    w = y * c[None, :] + x * s[None, :]
    is_query = (h < H)[:, None]
    to = Q + b.to(tl.int64) * (H * 64) + h[:, None] * 64 + i[None, :]
    tl.store(to, u.to(Q.dtype.element_ty), mask=is_query)
    tl.store(to + 32, w.to(Q.dtype.element_ty), mask=is_query)
    is_key = present & (h >= H)[:, None]
    to = K + ((b.to(tl.int64) * KVH + (h[:, None] - H)) * T + at) * 64 + i[None, :]
    tl.store(to, u.to(K.dtype.element_ty), mask=is_key)
    tl.store(to + 32, w.to(K.dtype.element_ty), mask=is_key)
    g = tl.arange(0, HEADS)
    is_value = (g < KVH)[:, None]
    v = tl.load(QKV + b.to(tl.int64) * N + (H + KVH) * 64 + g[:, None] * 64 + d[None, :], mask=is_value, other=0.0)
    tl.store(V + ((b.to(tl.int64) * KVH + g[:, None]) * T + at) * 64 + d[None, :], v, mask=is_value)


@triton.jit
def attention(Q, K, V, OUT, AT, T, H: tl.constexpr, KVH: tl.constexpr, BLOCK: tl.constexpr):
    """Attention of one new token to its slot's keys, for one group of heads."""
    b = tl.program_id(0)
    g = tl.program_id(1)
    n = tl.load(AT + b).to(tl.int32) + 1
    r = tl.arange(0, 16)
    d = tl.arange(0, 64)
    j = tl.arange(0, BLOCK)
    G: tl.constexpr = H // KVH
    place = b.to(tl.int64) * (H * 64) + (g * G + r)[:, None] * 64 + d[None, :]
    rows = (r < G)[:, None]
    q = tl.load(Q + place, mask=rows, other=0.0)
    base = (b.to(tl.int64) * KVH + g) * T * 64
    most = tl.full([16], -1e30, tl.float32)
    total = tl.zeros([16], tl.float32)
    out = tl.zeros([16, 64], tl.float32)
    for s in range(0, n, BLOCK):
        ok = (s + j) < n
        offset = base + (s + j)[:, None] * 64 + d[None, :]
        k = tl.load(K + offset, mask=ok[:, None], other=0.0)
        z = tl.dot(q, tl.trans(k)) * 0.125
        z = tl.where(ok[None, :], z, -1e30)
        higher = tl.maximum(most, tl.max(z, 1))
        p = tl.exp(z - higher[:, None])
        less = tl.exp(most - higher)
        total = total * less + tl.sum(p, 1)
        v = tl.load(V + offset, mask=ok[:, None], other=0.0)
        out = out * less[:, None] + tl.dot(p.to(v.dtype), v)
        most = higher
    tl.store(OUT + place, (out / total[:, None]).to(OUT.dtype.element_ty), mask=rows)


@triton.jit
def rms_norm(X, W, Y, EPSILON, D: tl.constexpr, BLOCK: tl.constexpr):
    b = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, BLOCK)
    m = i < D
    x = tl.load(X + b * D + i, mask=m, other=0.0).to(tl.float32)
    r = 1.0 / tl.sqrt(tl.sum(x * x, 0) / D + EPSILON)
    y = (x * r).to(Y.dtype.element_ty) * tl.load(W + i, mask=m, other=0.0)
    tl.store(Y + b * D + i, y.to(Y.dtype.element_ty), mask=m)


@triton.jit
def swiglu(X, Y, F: tl.constexpr, BLOCK: tl.constexpr):
    b = tl.program_id(0).to(tl.int64)
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    m = i < F
    g = tl.load(X + b * 2 * F + i, mask=m, other=0.0).to(tl.float32)
    u = tl.load(X + b * 2 * F + F + i, mask=m, other=0.0).to(tl.float32)
    tl.store(Y + b * F + i, (g / (1.0 + tl.exp(-g)) * u).to(Y.dtype.element_ty), mask=m)


@triton.jit
def scramble(v):  # PCG's hash
    s = v * 747796405 + 2891336453
    w = ((s >> ((s >> 28) + 4)) ^ s) * 277803737
    return (w >> 22) ^ w


@triton.jit
def choose(Z, TEMPERATURE, LOG_MIN_P, DRAWS, OUT, LOG_PROB, V, BLOCK: tl.constexpr):
    """Min-p, then the largest of z + Gumbel noise."""
    b = tl.program_id(0)
    it = 1.0 / tl.load(TEMPERATURE + b)
    i = tl.arange(0, BLOCK)
    row = Z + b.to(tl.int64) * V
    m = tl.full([BLOCK], -1e30, tl.float32)
    for s in range(0, V, BLOCK):
        m = tl.maximum(m, tl.load(row + s + i, mask=s + i < V, other=-1e30).to(tl.float32))
    most = tl.max(m, 0)
    total = tl.zeros([BLOCK], tl.float32)
    least = most * it + tl.load(LOG_MIN_P + b)
    key = scramble((tl.load(DRAWS) * 65537 + b).to(tl.uint32))
    best = tl.full([BLOCK], -1e30, tl.float32)
    where = tl.zeros([BLOCK], tl.int32)
    for s in range(0, V, BLOCK):
        r = tl.load(row + s + i, mask=s + i < V, other=-1e30).to(tl.float32)
        z = r * it
        total += tl.exp(r - most)
        u = ((scramble((s + i).to(tl.uint32) + key) >> 8).to(tl.float32) + 0.5) * (1.0 / 16777216.0)
        score = tl.where(z >= least, z - tl.log(-tl.log(u)), -1e30)
        better = score > best
        best = tl.where(better, score, best)
        where = tl.where(better, s + i, where)
    k = tl.argmax(best, 0)
    chosen = tl.sum(tl.where(i == k, where, 0), 0)
    tl.store(OUT + b, chosen.to(tl.int64))
    tl.store(LOG_PROB + b, tl.load(row + chosen).to(tl.float32) - most - tl.log(tl.sum(total, 0)))


def use_kernels(teacher):
    """Gives a Teacher these kernels in place of its plain operations."""
    heads, kv_heads, n = teacher.heads, teacher.kv_heads, (teacher.heads + 2 * teacher.kv_heads) * 64
    if teacher.head != 64:
        raise ValueError(f"The kernels are for heads of 64; this teacher's have {teacher.head}.")
    all_heads = triton.next_power_of_2(heads + kv_heads)

    def attend(layer, qkv):
        slots, caches = qkv.shape[0], (teacher.keys[layer], teacher.values[layer])
        q = torch.empty(slots, heads * 64, dtype=qkv.dtype, device=qkv.device)
        out = torch.empty_like(q)
        tables = (teacher.cos, teacher.sin, teacher.position)
        rotate_and_store[(slots,)](qkv, *tables, q, *caches, teacher.length, heads, kv_heads, n, all_heads, num_warps=4)
        attention[(slots, kv_heads)](
            q, *caches, out, teacher.position, teacher.length, heads, kv_heads, 64, num_warps=4
        )
        return out

    def normalize(x, weight):
        y = torch.empty_like(x)
        block = triton.next_power_of_2(x.shape[1])
        rms_norm[(x.shape[0],)](x, weight, y, teacher.epsilon, x.shape[1], block, num_warps=4)
        return y

    def activate(gate_up):
        y = torch.empty(gate_up.shape[0], teacher.ffn, dtype=gate_up.dtype, device=gate_up.device)
        swiglu[(gate_up.shape[0], triton.cdiv(teacher.ffn, 1024))](gate_up, y, teacher.ffn, 1024, num_warps=4)
        return y

    def draw(logits):
        out = torch.empty(logits.shape[0], dtype=torch.long, device=logits.device)
        log_prob = torch.empty(logits.shape[0], device=logits.device)
        where = (teacher.temperature, teacher.log_min_p, teacher.draws)
        choose[(logits.shape[0],)](logits, *where, out, log_prob, logits.shape[1], 4096, num_warps=8)
        return out, log_prob

    teacher.attend, teacher.normalize, teacher.activate, teacher.draw = attend, normalize, activate, draw
