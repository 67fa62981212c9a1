// Tokens of packs in layers.wgsl, in single precision whatever arithmetic the base's products use. Scores are shared
// out by rows, a workgroup for each, whose threads hold the activations already; they go into the mailbox after the
// base's. A workgroup that receives the base's scores receives those of packs as well, computes weights from them with
// the base's √n / ‖s‖₂, and adds their product to that of its own rows.
// Needs the declarations of layers.wgsl, and for parts with packs: PACK_STRIDE from layer to layer; for parts 0, 2 and
// 4 PACK_ROWS_p, their offsets PACK_KEYS_AT_p in `packs` and AT_PACKS_p in the mailbox; for parts 1, 3 and 5
// PACK_TOKENS_p (a multiple of 4), PACK_COLS_p and PACK_VALUES_AT_p.

// Offset in the mailbox of the scores that are received with a row of the base's, and √n / ‖s‖₂ of that row.
var<private> pack_scores: u32;
var<private> pack_scale: f32;
// The thread's score among them, as it was sent.
var<private> pack_score: u32;

// Weights of up to WG tokens.
var<workgroup> pack_weights: array<f32, WG>;

fn four_pack_weights(i: u32) -> vec4<f32> {
    return vec4<f32>(
        pack_weights[i * 4u],
        pack_weights[i * 4u + 1u],
        pack_weights[i * 4u + 2u],
        pack_weights[i * 4u + 3u],
    );
}

// Computes the weights of the tokens from `first` on out of `tokens`. Every thread of the workgroup must call it.
fn stage_pack_weights(local: u32, first: u32, tokens: u32) {
    workgroupBarrier(); // those before have been read
    if first + local < tokens {
        pack_weights[local] = gelu(receive(pack_scores + first + local) * pack_scale);
    }
    workgroupBarrier();
}

#unroll P 6
#if PACK_KEYS_$P
// The thread's columns of a key.
fn load_pack_key_$P(local: u32, row: u32) -> array<vec4<f32>, ITEMS_$P> {
    let at = layer_packs + PACK_KEYS_AT_$P + min(row, PACK_ROWS_$P - 1u) * (GROUPS_$P * 8u);
    var key: array<vec4<f32>, ITEMS_$P>;
    for (var i = 0u; i < ITEMS_$P; i++) {
        let s = min(local + i * WG, GROUPS_$P * 8u - 1u);
#if Q4
        for (var j = 0u; j < 4u; j++) {
            let c = column(s, j);
            key[i][j] = packs[at + c / 4u][c % 4u];
        }
#else
        key[i] = packs[at + s];
#endif
    }
    return key;
}

// Sends the scores that this workgroup computes for a row of activations; the first key has been loaded already.
fn send_pack_scores_$P(
    local: u32,
    wg_index: u32,
    first: array<vec4<f32>, ITEMS_$P>,
    x: array<vec4<f32>, ITEMS_$P>,
) {
    var key = first;
    for (var row = wg_index; row < PACK_ROWS_$P; row += WORKGROUPS) {
        if row > wg_index {
            key = load_pack_key_$P(local, row);
        }
        var sum = 0.0;
        for (var i = 0u; i < ITEMS_$P; i++) {
            sum += select(0.0, dot(x[i], key[i]), local + i * WG < GROUPS_$P * 8u);
        }
        sum = workgroup_sum(local, sum);
        if local == 0u {
            send(layer_mail + AT_PACKS_$P + row, sum);
        }
    }
}
#endif
#if PACK_VALUES_$P
// The values of four tokens, from 4·i on, for one row.
fn load_pack_values_$P(row: u32, i: u32) -> vec4<f32> {
    return packs[layer_packs + PACK_VALUES_AT_$P + row * (PACK_COLS_$P / 4u) + i];
}
#endif
#end
