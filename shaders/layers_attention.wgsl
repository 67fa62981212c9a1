// The attention of layers.wgsl: of one token over the KV cache, split over workgroups by head and by stretch of the
// context. For each head and stretch, a workgroup outputs the highest score m, Σ exp(score − m), and
// Σ exp(score − m)·v; the workgroups of part 2 join them while receiving them (Flash-Decoding's combine, without a
// separate hand-over). The token's own key and value arrive by mailbox and are written to the cache, where this
// dispatch does not read them.
// Needs the declarations of layers.wgsl.

const HEADS = D_MODEL / HEAD;
const OCTETS = HEAD / 8u;
// Threads that share a position's score, and octets of its key that each holds.
const SHARERS = max(WG / 128u, 1u);
const KEYS_HELD = (OCTETS + SHARERS - 1u) / SHARERS;
// Teams share the positions of the weighted sum; a team has a thread per eight dimensions.
const TEAMS = WG / OCTETS;
const VALUES_HELD = 4u;
// Number of positions that justifies a separate workgroup.
const STRETCH = 128u;
// Stretches whose sums are received at a time, for each of a chunk's texts.
const BATCH = max(8u / CHUNK_2, 1u);

var<workgroup> input: array<f32, 3u * HEAD>;
var<workgroup> query: array<f32, HEAD>;
var<workgroup> own_key: array<u32, HEAD / 2u>;
var<workgroup> own_value: array<u32, HEAD / 2u>;
var<workgroup> shares: array<f32, SCAN * SHARERS>;
var<workgroup> position_weights: array<f32, SCAN>;
var<workgroup> stats: array<vec2<f32>, CHUNK_2 * HEADS * MAX_PARTS>;

// The number of workgroups that each head's context is split over.
fn part_count(length: u32) -> u32 {
    let most = min((length + STRETCH - 1u) / STRETCH, MAX_PARTS);
#if SEVERAL
    // As many parts as there are workgroups; a part may be no longer than its array in workgroup memory.
    return min(max(WORKGROUPS / (HEADS * step.count), (length + SCAN - 1u) / SCAN), most);
#else
    return most;
#endif
}

// The number for the text's context.
fn parts_of(text: u32) -> u32 {
    return part_count(step_of(text).past + 1u);
}

// The largest number of all texts.
fn most_parts() -> u32 {
    var most = parts_of(0u);
    for (var text = 1u; text < text_count(); text++) {
        most = max(most, parts_of(text));
    }
    return most;
}

// Octets of a key and of a value at a position of the text.
fn key_at(own: Step, position: u32, column: u32) -> vec4<u32> {
#if SEVERAL
    if position >= own.in_common {
        return tails[layer_tails + (own.tail + position - own.in_common) * (D_MODEL / 8u) + column];
    }
#endif
    return keys[layer_cache + position * (D_MODEL / 8u) + column];
}

fn value_at(own: Step, position: u32, column: u32) -> vec4<u32> {
#if SEVERAL
    if position >= own.in_common {
        let at = (own.tail + position - own.in_common) * (D_MODEL / 8u) + column;
        return tails[layer_tails + room.tail_values + at];
    }
#endif
    return values[layer_cache + position * (D_MODEL / 8u) + column];
}

fn keep(own: Step, column: u32, key: vec4<u32>, value: vec4<u32>) {
#if SEVERAL
    let at = layer_tails + (own.tail + own.past - own.in_common) * (D_MODEL / 8u) + column;
    tails[at] = key;
    tails[at + room.tail_values] = value;
#else
    let at = layer_cache + own.past * (D_MODEL / 8u) + column;
    keys[at] = key;
    values[at] = value;
#endif
}

fn load_keys(own: Step, position: u32, head: u32, sharer: u32) -> array<vec4<u32>, KEYS_HELD> {
    var octets: array<vec4<u32>, KEYS_HELD>;
    for (var i = 0u; i < KEYS_HELD; i++) {
        octets[i] = key_at(own, position, head * OCTETS + min(sharer + i * SHARERS, OCTETS - 1u));
    }
    return octets;
}

fn load_values(own: Step, first: u32, count: u32, p: u32, column: u32) -> array<vec4<u32>, VALUES_HELD> {
    var octets: array<vec4<u32>, VALUES_HELD>;
    for (var i = 0u; i < VALUES_HELD; i++) {
        octets[i] = value_at(own, first + min(p + i * TEAMS, count - 1u), column);
    }
    return octets;
}

// softmax(q·kᵀ/√HEAD)·v of one head over one stretch, as highest score, sum of exponentials and weighted sum.
fn attend(local: u32, head: u32, part: u32, text: u32) {
    let own = step_of(text);
    let length = own.past + 1u;
    let parts = part_count(length);
#if SEVERAL
    if part >= parts {
        return; // another text is longer
    }
#endif
    let stretch = (length + parts - 1u) / parts;
    let first = part * stretch;
    let count = min(stretch, length - first);
    let sharer = local % SHARERS;
    let team = min(local / OCTETS, TEAMS - 1u);
    let octet = local % OCTETS;

    // Loads of earlier tokens' keys and values are issued before waiting for the query.
    let column = head * OCTETS + octet;
    var key_octets = load_keys(own, first + min(local / SHARERS, count - 1u), head, sharer);
    var value_octets = load_values(own, first, count, team, column);

    let qkv = layer_mail + text_mail(text) + AT_QKV + head * HEAD;
    wait_for(local, qkv, HEAD);
    for (var i = local; i < 3u * HEAD; i += WG) {
        input[i] = receive(qkv + i / HEAD * D_MODEL + i % HEAD);
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
            let turned = rotated(own.past, at, pair);
            if which == 1u {
                own_key[at / 2u] = pack2x16float(turned);
            } else {
                query[at] = turned.x * inverseSqrt(f32(HEAD));
                query[at + 1u] = turned.y * inverseSqrt(f32(HEAD));
            }
        }
    }
    workgroupBarrier();
    // The last stretch contains the token itself, which no other workgroup reads in this dispatch.
    if first + count == length && local < OCTETS {
        let o = local * 4u;
        let key = vec4<u32>(own_key[o], own_key[o + 1u], own_key[o + 2u], own_key[o + 3u]);
        let value = vec4<u32>(own_value[o], own_value[o + 1u], own_value[o + 2u], own_value[o + 3u]);
        keep(own, head * OCTETS + local, key, value);
    }

    for (var p = local / SHARERS; p < count; p += WG / SHARERS) {
        let octets = key_octets;
        if p + WG / SHARERS < count {
            key_octets = load_keys(own, first + p + WG / SHARERS, head, sharer);
        }
        var score = 0.0;
        for (var i = 0u; i < KEYS_HELD; i++) {
            let o = sharer + i * SHARERS;
            if o < OCTETS {
                var k = octets[i];
                if first + p == own.past {
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
            let octets = value_octets;
            if p + TEAMS * VALUES_HELD < count {
                value_octets = load_values(own, first, count, p + TEAMS * VALUES_HELD, column);
            }
            for (var i = 0u; i < VALUES_HELD; i++) {
                let position = p + i * TEAMS;
                if position < count {
                    var v = octets[i];
                    if first + position == own.past {
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
        send_of(text, AT_PARTS + part * D_MODEL + place(head * HEAD + local, GROUPS_2), acc);
    }
    if local == 0u {
        send_of(text, AT_STATS + (part * HEADS + head) * 2u, highest);
        send_of(text, AT_STATS + (part * HEADS + head) * 2u + 1u, sum);
    }
}

// The sums of up to BATCH stretches of each text, from `p` on, for one slot.
fn receive_parts(first: u32, s: u32, p: u32) -> array<vec4<u32>, BATCH * CHUNK_2> {
    var bits: array<vec4<u32>, BATCH * CHUNK_2>;
    for (var looks = 0u; looks <= spin_limit; looks++) {
        var missing = false;
        #unroll T CHUNK_2
        for (var n = 0u; n < BATCH; n++) {
            if p + n < parts_of(first + $Tu) {
                let at = layer_mail + text_mail(first + $Tu) + AT_PARTS + (p + n) * D_MODEL + s;
                bits[$Tu * BATCH + n] = look4(at, D_MODEL / 4u);
                missing |= any(bits[$Tu * BATCH + n] == vec4<u32>());
            }
        }
        #end
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

// The thread's slots of the attention's output of the texts from `first` on, joined from all stretches.
fn receive_attention(local: u32, first: u32) -> Rows_2 {
    wait_for_texts(local, first, CHUNK_2, layer_mail + AT_STATS, HEADS * 2u);
    var bits = receive_parts(first, min(local, GROUPS_2 * 8u - 1u), 0u);
    var parts = 0u;
    #unroll T CHUNK_2
    let parts$T = parts_of(first + $Tu);
    parts = max(parts, parts$T);
    #end
    for (var i = local; i < CHUNK_2 * HEADS * MAX_PARTS; i += WG) {
        let text = first + i / (HEADS * MAX_PARTS);
        let of_text = i % (HEADS * MAX_PARTS);
        if of_text < HEADS * parts_of(text) {
            let at = layer_mail + text_mail(text) + AT_STATS + of_text * 2u;
            let looks = vec2<u32>(atomicLoad(&mailbox[at]), atomicLoad(&mailbox[at + 1u]));
            stats[i] = vec2<f32>(receive_after(looks.x, at), receive_after(looks.y, at + 1u));
        }
    }
    workgroupBarrier();
    var rows: Rows_2;
    for (var i = 0u; i < ITEMS_2; i++) {
        let s = min(local + i * WG, GROUPS_2 * 8u - 1u);
        let head = column(s, 0u) / HEAD;
        #unroll T CHUNK_2
        var highest$T = stats[$Tu * (HEADS * MAX_PARTS) + head].x;
        for (var p = 1u; p < parts$T; p++) {
            highest$T = max(highest$T, stats[$Tu * (HEADS * MAX_PARTS) + p * HEADS + head].x);
        }
        var sum$T = 0.0;
        var acc$T = vec4<f32>();
        #end
        for (var p = 0u; p < parts; p += BATCH) {
            if i > 0u || p > 0u {
                bits = receive_parts(first, s, p);
            }
            #unroll T CHUNK_2
            for (var n = 0u; n < BATCH; n++) {
                if p + n < parts$T {
                    let one = stats[$Tu * (HEADS * MAX_PARTS) + (p + n) * HEADS + head];
                    let weight = exp(one.x - highest$T);
                    sum$T += weight * one.y;
                    acc$T += weight * bitcast<vec4<f32>>(bits[$Tu * BATCH + n]);
                }
            }
            #end
        }
        #unroll T CHUNK_2
        rows[$T * ITEMS_2 + i] = acc$T / sum$T;
        #end
    }
    return rows;
}
