// The attention of layers.wgsl: of one token over the KV cache, split over workgroups by head and by stretch of the context.
// A workgroup leaves, per head and stretch, the highest score m, Σ exp(score − m), and Σ exp(score − m)·v; the workgroups of
// part 2 join them while they receive them (Flash-Decoding's combine, without a hand-over of its own). The token's own
// key and value come by mailbox and go into the cache, where this dispatch does not look for them.
// Needs what layers.wgsl declares.

const HEADS = D_MODEL / HEAD;
const OCTETS = HEAD / 8u;
// Threads that share a position's score, and octets of its key that each holds.
const SHARERS = max(WG / 128u, 1u);
const KEYS_HELD = (OCTETS + SHARERS - 1u) / SHARERS;
// Teams share the positions of the weighted sum; a team has a thread per eight dimensions.
const TEAMS = WG / OCTETS;
const VALUES_HELD = 4u;
// Positions that are worth a workgroup of their own.
const STRETCH = 128u;
// Stretches whose sums are received at a time.
const BATCH = 8u;

var<workgroup> input: array<f32, 3u * HEAD>;
var<workgroup> query: array<f32, HEAD>;
var<workgroup> own_key: array<u32, HEAD / 2u>;
var<workgroup> own_value: array<u32, HEAD / 2u>;
var<workgroup> shares: array<f32, SCAN * SHARERS>;
var<workgroup> position_weights: array<f32, SCAN>;
var<workgroup> stats: array<vec2<f32>, HEADS * MAX_PARTS>;

// Over how many workgroups each head's context is split.
fn part_count(length: u32) -> u32 {
    return min((length + STRETCH - 1u) / STRETCH, MAX_PARTS);
}

fn load_keys(row: u32, sharer: u32) -> array<vec4<u32>, KEYS_HELD> {
    var octets: array<vec4<u32>, KEYS_HELD>;
    for (var i = 0u; i < KEYS_HELD; i++) {
        octets[i] = keys[row + min(sharer + i * SHARERS, OCTETS - 1u)];
    }
    return octets;
}

fn load_values(first: u32, count: u32, p: u32, at: u32) -> array<vec4<u32>, VALUES_HELD> {
    var octets: array<vec4<u32>, VALUES_HELD>;
    for (var i = 0u; i < VALUES_HELD; i++) {
        octets[i] = values[(first + min(p + i * TEAMS, count - 1u)) * (D_MODEL / 8u) + at];
    }
    return octets;
}

// softmax(q·kᵀ/√HEAD)·v of one head over one stretch, as highest score, sum of exponentials and weighted sum.
fn attend(local: u32, head: u32, part: u32) {
    let length = step.past + 1u;
    let parts = part_count(length);
    let stretch = (length + parts - 1u) / parts;
    let first = part * stretch;
    let count = min(stretch, length - first);
    let sharer = local % SHARERS;
    let team = min(local / OCTETS, TEAMS - 1u);
    let octet = local % OCTETS;

    // Keys and values of earlier tokens are asked for before the query is waited for.
    let key_row = layer_cache + (first * D_MODEL + head * HEAD) / 8u;
    let value_row = layer_cache + head * OCTETS + octet;
    var key_octets = load_keys(key_row + min(local / SHARERS, count - 1u) * (D_MODEL / 8u), sharer);
    var value_octets = load_values(first, count, team, value_row);

    wait_for(local, layer_mail + AT_QKV + head * HEAD, HEAD);
    for (var i = local; i < 3u * HEAD; i += WG) {
        input[i] = receive(layer_mail + AT_QKV + i / HEAD * D_MODEL + head * HEAD + i % HEAD);
    }
    workgroupBarrier();
    for (var i = local; i < HEAD * 3u / 2u; i += WG) {
        let which = i / (HEAD / 2u);
        let at = i % (HEAD / 2u) * 2u;
        if which == 2u {
            own_value[at / 2u] = pack2x16float(vec2<f32>(input[2u * HEAD + at], input[2u * HEAD + at + 1u]));
        } else {
            let row = which * HEAD;
            let pair = vec2<f32>(input[row + unpaired(at)], input[row + unpaired(at + 1u)]);
            let turned = rotated(step.past, at, pair);
            if which == 1u {
                own_key[at / 2u] = pack2x16float(turned);
            } else {
                query[at] = turned.x * inverseSqrt(f32(HEAD));
                query[at + 1u] = turned.y * inverseSqrt(f32(HEAD));
            }
        }
    }
    workgroupBarrier();
    // The last stretch has the token itself, which nobody else looks at in this dispatch.
    if first + count == length && local < OCTETS {
        let at = layer_cache + (step.past * D_MODEL + head * HEAD) / 8u + local;
        let o = local * 4u;
        keys[at] = vec4<u32>(own_key[o], own_key[o + 1u], own_key[o + 2u], own_key[o + 3u]);
        values[at] = vec4<u32>(own_value[o], own_value[o + 1u], own_value[o + 2u], own_value[o + 3u]);
    }

    for (var p = local / SHARERS; p < count; p += WG / SHARERS) {
        if p >= WG / SHARERS {
            key_octets = load_keys(key_row + p * (D_MODEL / 8u), sharer);
        }
        var score = 0.0;
        for (var i = 0u; i < KEYS_HELD; i++) {
            let o = sharer + i * SHARERS;
            if o < OCTETS {
                var k = key_octets[i];
                if first + p == step.past {
                    k = vec4<u32>(own_key[o * 4u], own_key[o * 4u + 1u], own_key[o * 4u + 2u], own_key[o * 4u + 3u]);
                }
                for (var c = 0u; c < 4u; c++) {
                    let pair = unpack2x16float(k[c]);
                    score += pair.x * query[o * 8u + c * 2u] + pair.y * query[o * 8u + c * 2u + 1u];
                }
            }
        }
        shares[p * SHARERS + sharer] = score;
    }
    workgroupBarrier();
    var highest = -3.4e38;
    for (var p = local; p < count; p += WG) {
        var score = 0.0;
        for (var i = 0u; i < SHARERS; i++) {
            score += shares[p * SHARERS + i];
        }
        position_weights[p] = score;
        highest = max(highest, score);
    }
    highest = workgroup_max(local, highest);
    var sum = 0.0;
    for (var p = local; p < count; p += WG) {
        let weight = exp(position_weights[p] - highest);
        position_weights[p] = weight;
        sum += weight;
    }
    sum = workgroup_sum(local, sum); // its barriers also make the weights visible

    if local < TEAMS * OCTETS {
        var low = vec4<f32>();
        var high = vec4<f32>();
        for (var p = team; p < count; p += TEAMS * VALUES_HELD) {
            if p >= TEAMS * VALUES_HELD {
                value_octets = load_values(first, count, p, value_row);
            }
            for (var i = 0u; i < VALUES_HELD; i++) {
                let position = p + i * TEAMS;
                if position < count {
                    var v = value_octets[i];
                    if first + position == step.past {
                        let o = octet * 4u;
                        v = vec4<u32>(own_value[o], own_value[o + 1u], own_value[o + 2u], own_value[o + 3u]);
                    }
                    let w = position_weights[position];
                    low += w * vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
                    high += w * vec4<f32>(unpack2x16float(v.z), unpack2x16float(v.w));
                }
            }
        }
        sums[(team * OCTETS + octet) * 2u] = low;
        sums[(team * OCTETS + octet) * 2u + 1u] = high;
    }
    workgroupBarrier();
    if local < HEAD {
        var acc = 0.0;
        for (var t = 0u; t < TEAMS; t++) {
            acc += sums[t * OCTETS * 2u + local / 4u][local % 4u];
        }
        send(layer_mail + AT_PARTS + part * D_MODEL + place(head * HEAD + local, GROUPS_2), acc);
    }
    if local == 0u {
        send(layer_mail + AT_STATS + (part * HEADS + head) * 2u, highest);
        send(layer_mail + AT_STATS + (part * HEADS + head) * 2u + 1u, sum);
    }
}

// The sums of up to BATCH stretches, from `p` on, for one slot.
fn receive_parts(s: u32, p: u32, parts: u32) -> array<vec4<u32>, BATCH> {
    var bits: array<vec4<u32>, BATCH>;
    for (var looks = 0u; looks <= spin_limit; looks++) {
        var missing = false;
        for (var n = 0u; n < BATCH; n++) {
            if p + n < parts {
                bits[n] = look4(layer_mail + AT_PARTS + (p + n) * D_MODEL + s, D_MODEL / 4u);
                missing |= any(bits[n] == vec4<u32>());
            }
        }
        if !missing {
            break;
        }
        if looks == spin_limit {
            time_out();
            break;
        }
    }
    return bits;
}

// The thread's slots of the attention's output, joined from all stretches.
fn receive_attention(local: u32) -> array<vec4<f32>, ITEMS_2> {
    let parts = part_count(step.past + 1u);
    wait_for(local, layer_mail + AT_STATS, HEADS * parts * 2u);
    var bits = receive_parts(min(local, GROUPS_2 * 8u - 1u), 0u, parts);
    for (var i = local; i < HEADS * parts; i += WG) {
        let at = layer_mail + AT_STATS + i * 2u;
        stats[i] = vec2<f32>(receive(at), receive(at + 1u));
    }
    workgroupBarrier();
    var row: array<vec4<f32>, ITEMS_2>;
    for (var i = 0u; i < ITEMS_2; i++) {
        let s = min(local + i * WG, GROUPS_2 * 8u - 1u);
        let head = column(s, 0u) / HEAD;
        var highest = stats[head].x;
        for (var p = 1u; p < parts; p++) {
            highest = max(highest, stats[p * HEADS + head].x);
        }
        var sum = 0.0;
        var acc = vec4<f32>();
        for (var p = 0u; p < parts; p += BATCH) {
            if i > 0u || p > 0u {
                bits = receive_parts(s, p, parts);
            }
            for (var n = 0u; n < BATCH; n++) {
                if p + n < parts {
                    let weight = exp(stats[(p + n) * HEADS + head].x - highest);
                    sum += weight * stats[(p + n) * HEADS + head].y;
                    acc += weight * bitcast<vec4<f32>>(bits[n]);
                }
            }
        }
        row[i] = acc / sum;
    }
    return row;
}
