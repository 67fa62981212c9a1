// The six products of layers.wgsl, written out for each: what a thread reads from the table, and how it receives rows
// of activations, one for each of CHUNK_p texts, normalizes them or computes weights from them, writes them to
// workgroup memory, and multiplies.
// Needs the declarations of layers.wgsl.

#if SUBGROUPS
// The threads without `bit` in their number get the sum of `low` over themselves and the thread that differs from them
// in that bit; the other half of the threads get the sum of `high`.
fn halved(local: u32, bit: u32, low: f32, high: f32) -> f32 {
    let has_bit = (local & bit) != 0u;
    return select(low, high, has_bit) + subgroupShuffleXor(select(high, low, has_bit), bit);
}
#endif

#unroll P 6
// ---- part $P ----

const ROW_BLOCK_$P = WG / LANES_$P * LROWS_$P;
const BLOCKS_$P = (ROWS_$P + ROW_BLOCK_$P - 1u) / ROW_BLOCK_$P;
// Workgroups that need the activations.
#if PACK_KEYS_$P
const SHARERS_$P = max(BLOCKS_$P, PACK_ROWS_$P);
#else
const SHARERS_$P = BLOCKS_$P;
#endif

// What a thread reads from the table, and from the values of packs' tokens.
struct Weights_$P {
#if PACK_VALUES_$P
    #unroll R LROWS_$P
    pack$R: vec4<f32>,
    #end
#endif
    #unroll I ROUNDS_$P
    #unroll R LROWS_$P
    w$I_$R: Group,
    #end
    #end
}

fn row_$P(local: u32, block: u32, row: u32) -> u32 {
    return min(block * ROW_BLOCK_$P + local / LANES_$P * LROWS_$P + row, ROWS_$P - 1u);
}

fn index_$P(local: u32, block: u32, round: u32, row: u32) -> u32 {
    return row_$P(local, block, row) * GROUPS_$P + min(local % LANES_$P + round * LANES_$P, GROUPS_$P - 1u);
}

fn load_$P(local: u32, block: u32) -> Weights_$P {
    var weights: Weights_$P;
    #unroll I ROUNDS_$P
    #unroll R LROWS_$P
    weights.w$I_$R = load_group(index_$P(local, block, $Iu, $Ru), layer_elements + ELEMENTS_$P, layer_scales + SCALES_$P);
    #end
    #end
#if PACK_VALUES_$P
    #unroll R LROWS_$P
    weights.pack$R = load_pack_values_$P(row_$P(local, block, $Ru), min(local % LANES_$P, PACK_TOKENS_$P / 4u - 1u));
    #end
#endif
    return weights;
}

// A thread's share of the rows of CHUNK_$P texts: ITEMS_$P slots of each, one text after the other.
alias Rows_$P = array<vec4<f32>, ITEMS_$P * CHUNK_$P>;
// A number for each of these texts.
alias Each_$P = array<f32, CHUNK_$P>;

// The words that it has read from the mailbox.
alias Looks_$P = array<vec4<u32>, ITEMS_$P * CHUNK_$P>;

// Reads the thread's slots of the rows of the texts from `first` on: the first text's row begins at `at` in the
// mailbox.
fn look_at_rows_$P(local: u32, first: u32, at: u32) -> Looks_$P {
    var bits: Looks_$P;
    #unroll T CHUNK_$P
    for (var i = 0u; i < ITEMS_$P; i++) {
        let s = min(local + i * WG, GROUPS_$P * 8u - 1u);
        bits[$Tu * ITEMS_$P + i] = look4(at + text_mail(first + $Tu) + s, GROUPS_$P * 8u);
    }
    #end
    return bits;
}

// The rows from the first look, if all their values had arrived; otherwise the thread polls again.
fn receive_rows_$P(local: u32, first: u32, at: u32, first_look: Looks_$P) -> Rows_$P {
    var bits = first_look;
    for (var looks = 0u; looks <= spin_limit; looks++) {
        if looks > 0u {
            bits = look_at_rows_$P(local, first, at);
        }
        var missing = false;
        for (var i = 0u; i < ITEMS_$P * CHUNK_$P; i++) {
            missing |= any(bits[i] == vec4<u32>());
        }
#if PACK_VALUES_$P
        if PACK_TOKENS_$P <= WG && local < PACK_TOKENS_$P {
            pack_score = atomicLoad(&mailbox[pack_scores + local]);
            missing |= pack_score == 0u;
        }
#endif
        if !missing {
            break;
        }
        if looks == spin_limit {
            time_out();
            break;
        }
    }
    var rows: Rows_$P;
    for (var i = 0u; i < ITEMS_$P * CHUNK_$P; i++) {
        rows[i] = bitcast<vec4<f32>>(bits[i]);
    }
    return rows;
}

fn stage_$P(local: u32, rows: Rows_$P) {
    var x = rows;
    workgroupBarrier(); // the last product has been made
    #unroll T CHUNK_$P
    for (var i = 0u; i < ITEMS_$P; i++) {
        let s = local + i * WG;
#if PACKED
        let largest = quad_largest(local, x[$Tu * ITEMS_$P + i]);
#else
        let largest = 0.0;
#endif
        if s < GROUPS_$P * 8u {
            stage_slot(Place($Tu * 8u + s % 8u, s / 8u, GROUPS_$P + 1u), x[$Tu * ITEMS_$P + i], largest);
        }
    }
    #end
#if PACK_VALUES_$P
    pack_weights[local] = gelu(bitcast<f32>(pack_score) * pack_scale); // where there are more tokens, it comes later
#endif
    workgroupBarrier();
}

// Row j of the block times the staged row of each text, for thread j.
fn product_$P(local: u32, block: u32, weights: Weights_$P) -> Each_$P {
    #unroll T CHUNK_$P
    #unroll R LROWS_$P
    var sum$T_$R = 0.0;
    #end
    #end
    #unroll I ROUNDS_$P
    if local % LANES_$P + $Iu * LANES_$P < GROUPS_$P {
        #unroll T CHUNK_$P
        let x$T = load_activations($Tu * 8u, local % LANES_$P + $Iu * LANES_$P, GROUPS_$P + 1u);
        #unroll R LROWS_$P
        sum$T_$R += group_product(weights.w$I_$R, index_$P(local, block, $Iu, $Ru), x$T);
        #end
        #end
    }
    #end
#if PACK_VALUES_$P
    #unroll R LROWS_$P
    var values$R = weights.pack$R;
    #end
    for (var first = 0u; first < PACK_TOKENS_$P; first += WG) {
        if PACK_TOKENS_$P > WG {
            stage_pack_weights(local, first, PACK_TOKENS_$P);
        }
        let count = min(WG, PACK_TOKENS_$P - first) / 4u;
        for (var i = local % LANES_$P; i < count; i += LANES_$P) {
            if first > 0u || i >= LANES_$P {
                #unroll R LROWS_$P
                values$R = load_pack_values_$P(row_$P(local, block, $Ru), first / 4u + i);
                #end
            }
            let a = four_pack_weights(i);
            #unroll R LROWS_$P
            sum0_$R += dot(a, values$R);
            #end
        }
    }
#endif
    if block >= WORKGROUPS {
        workgroupBarrier(); // the last block's sums have been read
    }
    var totals: Each_$P;
#if SUBGROUPS
    let width = min(LANES_$P, subgroup_width);
    let parts = LANES_$P / width;
    // Every thread continues with the sums of one text: the one with its number within a chunk.
    #unroll R LROWS_$P
#if FOUR_TEXTS_$P
    let even$R = halved(local, 1u, sum0_$R, sum1_$R);
    let odd$R = halved(local, 1u, sum2_$R, sum3_$R);
    var sum$R = halved(local, 2u, even$R, odd$R);
#else
#if TWO_TEXTS_$P
    var sum$R = halved(local, 1u, sum0_$R, sum1_$R);
#else
    var sum$R = sum0_$R;
#endif
#endif
    #end
    for (var step = CHUNK_$P; step < LANES_$P; step <<= 1u) {
        #unroll R LROWS_$P
        sum$R += select(0.0, subgroupShuffleXor(sum$R, step), step < width);
        #end
    }
    if local % width < CHUNK_$P {
        let row = local % CHUNK_$P * ROW_BLOCK_$P + local / LANES_$P * LROWS_$P;
        #unroll R LROWS_$P
        lane_sums[(row + $Ru) * parts + local % LANES_$P / width] = sum$R;
        #end
    }
    workgroupBarrier();
    if local < ROW_BLOCK_$P {
        for (var i = 0u; i < parts; i++) {
            #unroll T CHUNK_$P
            totals[$T] += lane_sums[($Tu * ROW_BLOCK_$P + local) * parts + i];
            #end
        }
    }
#else
    #unroll T CHUNK_$P
    if $Tu > 0u {
        workgroupBarrier(); // the sums of the text before have been read
    }
    #unroll R LROWS_$P
    lane_sums[local * LROWS_$P + $Ru] = sum$T_$R;
    #end
    for (var half = LANES_$P / 2u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if local % LANES_$P < half {
            #unroll R LROWS_$P
            lane_sums[local * LROWS_$P + $Ru] += lane_sums[(local + half) * LROWS_$P + $Ru];
            #end
        }
    }
    workgroupBarrier();
    let at$T = local / LROWS_$P * LANES_$P * LROWS_$P + local % LROWS_$P;
    totals[$T] = lane_sums[min(at$T, WG * LROWS_$P - 1u)];
    #end
#endif
    return totals;
}
#end

#if SUBGROUPS
var<workgroup> lane_sums: array<f32, WG * MOST_SUMS / 4u>;
#else
var<workgroup> lane_sums: array<f32, WG * MOST_LROWS>;
#endif

// ---- activations ----

var<workgroup> pivots: array<f32, MOST_CHUNK>;
#if ALL_AT_ONCE
var<workgroup> row_sums: array<vec2<f32>, WG / 4u * MOST_CHUNK>;
#endif

#unroll P 6
// Two sums over the workgroup for each text. Every thread must call it.
fn sums_$P(local: u32, own: array<vec2<f32>, CHUNK_$P>) -> array<vec2<f32>, CHUNK_$P> {
    var sums = own;
#if ALL_AT_ONCE
    let width = subgroup_width;
    #unroll T CHUNK_$P
#if NORM_$P
    sums[$T] = subgroupAdd(sums[$T]);
#else
    sums[$T].x = subgroupAdd(sums[$T].x);
#endif
    #end
    workgroupBarrier(); // earlier sums may still be being read
    if local % width == 0u {
        #unroll T CHUNK_$P
        row_sums[$Tu * (WG / width) + local / width] = sums[$T];
        #end
    }
    workgroupBarrier();
    #unroll T CHUNK_$P
    sums[$T] = row_sums[$Tu * (WG / width)];
    #end
    for (var i = 1u; i < WG / width; i++) {
        #unroll T CHUNK_$P
        sums[$T] += row_sums[$Tu * (WG / width) + i];
        #end
    }
#else
    #unroll T CHUNK_$P
#if NORM_$P
    sums[$T] = workgroup_sum2(local, sums[$T]);
#else
    sums[$T].x = workgroup_sum(local, sums[$T].x);
#endif
    #end
#endif
    return sums;
}

#if NORM_$P
// LayerNorm of rows. The row's first value is subtracted before summing, so that a common offset costs no precision.
fn normalized_$P(local: u32, rows: Rows_$P) -> Rows_$P {
    var x = rows;
    if local == 0u {
        #unroll T CHUNK_$P
        pivots[$T] = rows[$T * ITEMS_$P].x;
        #end
    }
    workgroupBarrier();
    var sums: array<vec2<f32>, CHUNK_$P>;
    #unroll T CHUNK_$P
    let offset$T = pivots[$T];
    for (var i = $T * ITEMS_$P; i < ($T + 1) * ITEMS_$P; i++) {
        x[i] -= offset$T;
        if local + (i - $T * ITEMS_$P) * WG < GROUPS_$P * 8u {
            sums[$T] += vec2<f32>(dot(x[i], vec4<f32>(1.0)), dot(x[i], x[i]));
        }
    }
    #end
    sums = sums_$P(local, sums);
    #unroll T CHUNK_$P
    let mean$T = sums[$T] / f32(D_MODEL);
    let scale$T = inverseSqrt(max(mean$T.y - mean$T.x * mean$T.x, 0.0) + EPSILON);
    for (var i = $T * ITEMS_$P; i < ($T + 1) * ITEMS_$P; i++) {
        x[i] = (x[i] - mean$T.x) * scale$T;
    }
    #end
    return x;
}
#endif
#if THETA_$P
fn weights_of_$P(local: u32, scores: Rows_$P) -> Rows_$P {
    var x = scores;
    #unroll T CHUNK_$P
    var row_max$T = 0.0;
    #end
#if SOFTMAX
    #unroll T CHUNK_$P
    row_max$T = -3.4e38;
    for (var i = 0u; i < ITEMS_$P; i++) {
        for (var j = 0u; j < 4u; j++) {
            let s = local + i * WG;
            let is_slot = s < GROUPS_$P * 8u && column(s, j) < SLOTS_$P;
            row_max$T = select(row_max$T, max(row_max$T, x[$T * ITEMS_$P + i][j]), is_slot);
        }
    }
    row_max$T = workgroup_max(local, row_max$T);
    #end
#endif
    var sums: array<vec2<f32>, CHUNK_$P>;
    for (var i = 0u; i < ITEMS_$P; i++) {
        if local + i * WG < GROUPS_$P * 8u {
            for (var j = 0u; j < 4u; j++) {
                let is_slot = SLOTS_$P == GROUPS_$P * 32u || column(local + i * WG, j) < SLOTS_$P;
                #unroll T CHUNK_$P
                sums[$T].x += select(0.0, statistic(x[$T * ITEMS_$P + i][j], row_max$T), is_slot);
                #end
            }
        }
    }
    sums = sums_$P(local, sums);
    #unroll T CHUNK_$P
    let scale$T = theta_scale(SLOTS_$P, sums[$T].x);
    #end
#if PACK_VALUES_$P
    pack_scale = scale0;
#endif
    for (var i = 0u; i < ITEMS_$P; i++) {
        for (var j = 0u; j < 4u; j++) {
            let is_slot = SLOTS_$P == GROUPS_$P * 32u || column(local + i * WG, j) < SLOTS_$P;
            #unroll T CHUNK_$P
            let s$T = x[$T * ITEMS_$P + i][j];
            x[$T * ITEMS_$P + i][j] = select(0.0, theta(s$T, scale$T, row_max$T), is_slot);
            #end
        }
    }
    return x;
}
#endif
#end

// ---- residuals ----

// The values that row `at` of part 3 is added to, for each text from `first` on; arbitrary for other threads.
fn residual_3(at: u32, first: u32, layer: u32) -> Each_3 {
    var values: Each_3;
    if at < ROWS_3 {
        if layer > 0u {
            let begin = layer_mail - LAYER_STRIDE + AT_OUT + place(at, GROUPS_0);
            #unroll T CHUNK_3
            let look$T = atomicLoad(&mailbox[begin + text_mail(first + $Tu)]);
            #end
            #unroll T CHUNK_3
            values[$T] = receive_after(look$T, begin + text_mail(first + $Tu));
            #end
        } else {
            #unroll T CHUNK_3
            values[$T] = h[text_of(first + $Tu) * D_MODEL + at];
            #end
        }
    }
    return values;
}

// The same for part 5.
fn residual_5(at: u32, first: u32) -> Each_5 {
    var values: Each_5;
    if at < ROWS_5 {
        let begin = layer_mail + AT_H + place(at, GROUPS_4);
        #unroll T CHUNK_5
        let look$T = atomicLoad(&mailbox[begin + text_mail(first + $Tu)]);
        #end
        #unroll T CHUNK_5
        values[$T] = receive_after(look$T, begin + text_mail(first + $Tu));
        #end
    }
    return values;
}
