// The six products of layers.wgsl, written out for each: what a thread reads of the table, how it receives a row of
// activations, normalizes it or makes weights of it, puts it into workgroup memory, and multiplies.
// Needs what layers.wgsl declares.

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

// What a thread reads of the table, and of the values of packs' tokens.
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

// The thread's slots of a row of `xs` that begins at `at` of the mailbox, which should be there.
fn receive_row_$P(local: u32, at: u32) -> array<vec4<f32>, ITEMS_$P> {
    var bits: array<vec4<u32>, ITEMS_$P>;
    for (var looks = 0u; looks <= spin_limit; looks++) {
        var missing = false;
        for (var i = 0u; i < ITEMS_$P; i++) {
            let s = min(local + i * WG, GROUPS_$P * 8u - 1u);
            bits[i] = look4(at + s, GROUPS_$P * 8u);
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
    var row: array<vec4<f32>, ITEMS_$P>;
    for (var i = 0u; i < ITEMS_$P; i++) {
        row[i] = bitcast<vec4<f32>>(bits[i]);
    }
    return row;
}

fn stage_$P(local: u32, row: array<vec4<f32>, ITEMS_$P>) {
    var x = row;
    workgroupBarrier(); // the last product has been made
    for (var i = 0u; i < ITEMS_$P; i++) {
        let s = local + i * WG;
#if PACKED
        let largest = quad_largest(local, x[i]);
#else
        let largest = 0.0;
#endif
        if s < GROUPS_$P * 8u {
            stage_slot(Place(s % 8u, s / 8u, GROUPS_$P + 1u), x[i], largest);
        }
    }
#if PACK_VALUES_$P
    pack_weights[local] = gelu(bitcast<f32>(pack_score) * pack_scale); // where there are more tokens, it comes later
#endif
    workgroupBarrier();
}

// Row j of the block times what is staged, for thread j.
fn product_$P(local: u32, block: u32, weights: Weights_$P) -> f32 {
    #unroll R LROWS_$P
    var sum$R = 0.0;
    #end
    #unroll I ROUNDS_$P
    if local % LANES_$P + $Iu * LANES_$P < GROUPS_$P {
        let x = load_activations(local % LANES_$P + $Iu * LANES_$P, GROUPS_$P + 1u);
        #unroll R LROWS_$P
        sum$R += group_product(weights.w$I_$R, index_$P(local, block, $Iu, $Ru), x);
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
            sum$R += dot(a, values$R);
            #end
        }
    }
#endif
    if block >= WORKGROUPS {
        workgroupBarrier(); // the last block's sums have been read
    }
#if SUBGROUPS
    let width = min(LANES_$P, subgroup_width);
    for (var step = 1u; step < LANES_$P; step <<= 1u) {
        #unroll R LROWS_$P
        sum$R += select(0.0, subgroupShuffleXor(sum$R, step), step < width);
        #end
    }
    if local % width == 0u {
        #unroll R LROWS_$P
        lane_sums[(local / LANES_$P * LROWS_$P + $Ru) * (LANES_$P / width) + local % LANES_$P / width] = sum$R;
        #end
    }
    workgroupBarrier();
    var total = 0.0;
    if local < ROW_BLOCK_$P {
        for (var i = 0u; i < LANES_$P / width; i++) {
            total += lane_sums[local * (LANES_$P / width) + i];
        }
    }
    return total;
#else
    #unroll R LROWS_$P
    lane_sums[local * LROWS_$P + $Ru] = sum$R;
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
    let at = local / LROWS_$P * LANES_$P * LROWS_$P + local % LROWS_$P;
    return lane_sums[min(at, WG * LROWS_$P - 1u)];
#endif
}
#end

#if SUBGROUPS
var<workgroup> lane_sums: array<f32, WG * MOST_LROWS / 4u>;
#else
var<workgroup> lane_sums: array<f32, WG * MOST_LROWS>;
#endif

// ---- activations ----

var<workgroup> pivot: f32;

#unroll P 6
#if NORM_$P
// LayerNorm of a row. Sums are made of values less the row's first, so that a common offset costs no digits.
fn normalized_$P(local: u32, row: array<vec4<f32>, ITEMS_$P>) -> array<vec4<f32>, ITEMS_$P> {
    var x = row;
    if local == 0u {
        pivot = row[0].x;
    }
    workgroupBarrier();
    let offset = pivot;
    var sums = vec2<f32>();
    for (var i = 0u; i < ITEMS_$P; i++) {
        x[i] -= offset;
        if local + i * WG < GROUPS_$P * 8u {
            sums += vec2<f32>(dot(x[i], vec4<f32>(1.0)), dot(x[i], x[i]));
        }
    }
    sums = workgroup_sum2(local, sums) / f32(D_MODEL);
    let scale = inverseSqrt(max(sums.y - sums.x * sums.x, 0.0) + EPSILON);
    for (var i = 0u; i < ITEMS_$P; i++) {
        x[i] = (x[i] - sums.x) * scale;
    }
    return x;
}
#endif
#if THETA_$P
fn weights_of_$P(local: u32, scores: array<vec4<f32>, ITEMS_$P>) -> array<vec4<f32>, ITEMS_$P> {
    var x = scores;
    var row_max = 0.0;
#if SOFTMAX
    row_max = -3.4e38;
    for (var i = 0u; i < ITEMS_$P; i++) {
        for (var j = 0u; j < 4u; j++) {
            let s = local + i * WG;
            let is_slot = s < GROUPS_$P * 8u && column(s, j) < SLOTS_$P;
            row_max = select(row_max, max(row_max, x[i][j]), is_slot);
        }
    }
    row_max = workgroup_max(local, row_max);
#endif
    var sum = 0.0;
    for (var i = 0u; i < ITEMS_$P; i++) {
        if local + i * WG < GROUPS_$P * 8u {
            for (var j = 0u; j < 4u; j++) {
                let is_slot = SLOTS_$P == GROUPS_$P * 32u || column(local + i * WG, j) < SLOTS_$P;
                sum += select(0.0, statistic(x[i][j], row_max), is_slot);
            }
        }
    }
    let scale = theta_scale(SLOTS_$P, workgroup_sum(local, sum));
#if PACK_VALUES_$P
    pack_scale = scale;
#endif
    for (var i = 0u; i < ITEMS_$P; i++) {
        for (var j = 0u; j < 4u; j++) {
            let is_slot = SLOTS_$P == GROUPS_$P * 32u || column(local + i * WG, j) < SLOTS_$P;
            x[i][j] = select(0.0, theta(x[i][j], scale, row_max), is_slot);
        }
    }
    return x;
}
#endif
#end
