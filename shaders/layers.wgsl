// Many layers for one token, or one of each of several texts, in one dispatch: WORKGROUPS workgroups share every
// product's rows, and send each other the inputs of the next product (mailbox.wgsl). That takes a fraction of the time
// that a dispatch takes to end and the next to begin. The workgroups must all run at the same time; the host tries this
// out before relying on it, and otherwise makes seven dispatches of each layer (keys, values and
// attention_decode.wgsl).
//
//   part 0  scores of query, key and value tokens of LN(h)
//   part 1  query, key, value = Pᵀ·Θ(scores)
//           attention, split over workgroups by head and by stretch of the context; rotary; append to the KV cache
//   part 2  scores of proj tokens of the attention's output
//   part 3  h' = h + Pᵀ·Θ(scores)
//   part 4  scores of mlp tokens of LN(h')
//   part 5  h = h' + Pᵀ·Θ(scores)
//
// With PACKS, tokens of packs take part in the products that have any (layers_packs.wgsl).
//   SEVERAL   a token of each of up to TEXTS texts, not with PACKS: tables are read once for all, a product processes
//             the activations of CHUNK_p texts at a time, and a layer has a mailbox for each text, one after the other
//   ALL_AT_ONCE   with SEVERAL and SUBGROUPS: sums of CHUNK_p rows share two barriers
//
// Bindings
//   0, 1  the layers' tables, all in one (group.wgsl): elements of all layers, then scales of all
//   2     step    uniform Step
//   3     h       f32 [D_MODEL], with SEVERAL [TEXTS, D_MODEL]: residual stream, read and replaced
//   4     mailbox    u32 [FAILED + 1]: what this dispatch sends, 0 before
//   4     mailbox    u32 [FAILED + 1]: words sent by this dispatch, initially 0
//   5     old     u32 [FAILED + 1] as vec4<u32>: words sent by another dispatch; cleared here, except the last ones
//   7     values  f16 octets [LAYERS, CACHE_STRIDE] as vec4<u32>
//   8     angles  vec2<f32> [context, r/2]; with PACKS packs, array<vec4<f32>>: the angles, then the tokens of packs
// With SEVERAL, keys and values hold the prefix that all texts share, and are only read; step counts the texts; and
//   4     mailbox    u32 [2, FAILED + 1, rounded up]: words sent by this dispatch, and by another
//   5     tails      f16 octets [LAYERS, 2, rows, D_MODEL / 8] as vec4<u32>: keys and values that texts do not share
//   9     steps      uniform TextStep [T]: one per text
//   10    room       uniform Room: offsets in both
// Grid: WORKGROUPS workgroups of WG threads.
// Constants: LAYERS, D_MODEL, HEAD, ROTARY, EPSILON, WORKGROUPS, MAX_PARTS, SCAN, XS, MOST_LROWS, SPIN_LIMIT; words of
// the mailbox AT_*, MAILBOX_STRIDE from text to text, LAYER_STRIDE from layer to layer, FAILED; ELEMENT_STRIDE,
// SCALE_STRIDE, CACHE_STRIDE from layer to layer; SLOTS_1, _3, _5; MOST_CHUNK and MOST_SUMS (CHUNK_p · LROWS_p); with
// SEVERAL TEXTS and MOST_TEXTS; and for each part p GROUPS_p and ROWS_p of its table, ELEMENTS_p and SCALES_p for its
// location, LANES_p threads that share LROWS_p rows in ROUNDS_p rounds of loads, ITEMS_p slots of activations per
// thread, and CHUNK_p texts at a time (with the flags TWO_TEXTS_p and FOUR_TEXTS_p).

#include "group.wgsl"
#include "reduce.wgsl"
#include "rotary.wgsl"
#include "step.wgsl"
#include "theta.wgsl"

@group(0) @binding(2) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read_write> h: array<f32>;
@group(0) @binding(4) var<storage, read_write> mailbox: array<atomic<u32>>;
#if SEVERAL
@group(0) @binding(5) var<storage, read_write> tails: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read> keys: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read> values: array<vec4<u32>>;
#else
@group(0) @binding(5) var<storage, read_write> old: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> keys: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> values: array<vec4<u32>>;
#endif
#if PACKS
@group(0) @binding(8) var<storage, read> packs: array<vec4<f32>>;
#else
@group(0) @binding(8) var<storage, read> angles: array<vec2<f32>>;
#endif

#include "mailbox.wgsl"
#include "layers_texts.wgsl"

// Offsets of the layer.
var<private> layer_mail: u32;
var<private> layer_elements: u32;
var<private> layer_scales: u32;
var<private> layer_cache: u32;
#if PACKS
var<private> layer_packs: u32;
#endif
#if SEVERAL
var<private> layer_tails: u32;
#endif

// True if the weights of a block have to be read before its product with the texts from `first` on. Those of a
// workgroup's first block have been read already, until other blocks replace them.
fn is_to_load(block: u32, wg_index: u32, first: u32, blocks: u32) -> bool {
    return block > wg_index || (first > 0u && blocks > WORKGROUPS);
}

// Partial sums of the attention's teams.
var<workgroup> sums: array<vec4<f32>, 2u * WG>;

// A row of activations is shared out by slots, group after group: slot s is slot s % 8 of group s / 8.

// Where column c of a row of `groups` groups is sent, relative to the row's start: first components of all slots, then
// second ones …, so that neighbouring threads read neighbouring words.
fn place(c: u32, groups: u32) -> u32 {
    return slot_component(c % 32u) * groups * 8u + c / 32u * 8u + slot_of(c % 32u);
}

// The column of component j of slot s.
fn column(s: u32, j: u32) -> u32 {
    return s / 8u * 32u + column_in_slot(s % 8u, j);
}

// The largest magnitude in four neighbouring threads' slots. Every thread of the workgroup must call it.
#if SUBGROUPS
fn quad_largest(local: u32, x: vec4<f32>) -> f32 {
    var largest = max(max(abs(x.x), abs(x.y)), max(abs(x.z), abs(x.w)));
    largest = max(largest, subgroupShuffleXor(largest, 1u));
    return max(largest, subgroupShuffleXor(largest, 2u));
}
#else
var<workgroup> magnitudes: array<f32, WG>;

fn quad_largest(local: u32, x: vec4<f32>) -> f32 {
    workgroupBarrier(); // those of the slots before have been read
    magnitudes[local] = max(max(abs(x.x), abs(x.y)), max(abs(x.z), abs(x.w)));
    workgroupBarrier();
    let quad = local / 4u * 4u;
    return max(max(magnitudes[quad], magnitudes[quad + 1u]), max(magnitudes[quad + 2u], magnitudes[quad + 3u]));
}
#endif

#if PACKS
#include "layers_packs.wgsl"
#endif
#include "layers_products.wgsl"
#include "layers_attention.wgsl"

// ---- the layer ----

// One layer; the first layer of the dispatch reads h from its buffer, and the last writes it back.
fn run_layer(local: u32, wg_index: u32, layer: u32) {
    layer_mail = first_mail() + layer * LAYER_STRIDE;
    layer_elements = layer * ELEMENT_STRIDE;
    layer_scales = layer * SCALE_STRIDE;
    layer_cache = layer * CACHE_STRIDE;
#if SEVERAL
    layer_tails = layer * room.tail_stride;
#endif
#if PACKS
    layer_packs = layer * PACK_STRIDE;
#endif
    let previous = layer_mail - LAYER_STRIDE; // of the first layer it is never used

    // The loads that each product needs from the tables are issued before waiting for its activations, and stay in
    // registers for all texts if a workgroup has only one block of rows.
    var weights_0 = load_0(local, wg_index);
#if PACK_KEYS_0
    let pack_key_0 = load_pack_key_0(local, wg_index);
#endif
    var looks_0: Looks_0;
    for (var first = 0u; first < text_count(); first += CHUNK_0) {
        if wg_index < SHARERS_0 {
            var rows: Rows_0;
            if layer > 0u {
                wait_for_texts(local, first, CHUNK_0, previous + AT_OUT, D_MODEL);
                if first == 0u {
                    looks_0 = look_at_rows_0(local, first, previous + AT_OUT);
                }
                rows = receive_rows_0(local, first, previous + AT_OUT, looks_0);
            } else {
                #unroll T CHUNK_0
                for (var i = 0u; i < ITEMS_0; i++) {
                    let s = min(local + i * WG, GROUPS_0 * 8u - 1u);
                    for (var j = 0u; j < 4u; j++) {
                        rows[$T * ITEMS_0 + i][j] = h[text_of(first + $Tu) * D_MODEL + column(s, j)];
                    }
                }
                #end
            }
            rows = normalized_0(local, rows);
#if PACK_KEYS_0
            send_pack_scores_0(local, wg_index, pack_key_0, rows);
#endif
            stage_0(local, rows);
            // The next texts' activations are loaded in the meantime.
            if layer > 0u && first + CHUNK_0 < text_count() {
                looks_0 = look_at_rows_0(local, first + CHUNK_0, previous + AT_OUT);
            }
        }
        for (var block = wg_index; block < BLOCKS_0; block += WORKGROUPS) {
            if is_to_load(block, wg_index, first, BLOCKS_0) {
                weights_0 = load_0(local, block);
            }
            let sums = product_0(local, block, weights_0);
            let at = block * ROW_BLOCK_0 + local;
            if local < ROW_BLOCK_0 && at < ROWS_0 {
                // Rows are columns of the next product, of one of three Pattentions.
                let column = at % (GROUPS_1 * 32u);
                #unroll T CHUNK_0
                send_of(first + $Tu, AT_0 + at - column + place(column, GROUPS_1), sums[$T]);
                #end
            }
        }
    }

    var weights_1 = load_1(local, wg_index);
    for (var block = wg_index; block < BLOCKS_1; block += WORKGROUPS) {
        let segment = block * ROW_BLOCK_1 / D_MODEL;
        if block > wg_index {
            weights_1 = load_1(local, block);
        }
        let scores = layer_mail + AT_0 + segment * GROUPS_1 * 32u;
        var looks: Looks_1;
        for (var first = 0u; first < text_count(); first += CHUNK_1) {
            wait_for_texts(local, first, CHUNK_1, scores, GROUPS_1 * 32u);
#if PACK_VALUES_1
            pack_scores = layer_mail + AT_PACKS_0 + segment * PACK_TOKENS_1;
#endif
            if first == 0u {
                looks = look_at_rows_1(local, first, scores);
            }
            stage_1(local, weights_of_1(local, receive_rows_1(local, first, scores, looks)));
            if first + CHUNK_1 < text_count() {
                looks = look_at_rows_1(local, first + CHUNK_1, scores);
            }
            let sums = product_1(local, block, weights_1);
            if local < ROW_BLOCK_1 {
                #unroll T CHUNK_1
                send_of(first + $Tu, AT_QKV + block * ROW_BLOCK_1 + local, sums[$T]);
                #end
            }
        }
    }

    var weights_2 = load_2(local, wg_index);
#if PACK_KEYS_2
    let pack_key_2 = load_pack_key_2(local, wg_index);
#endif
    let parts = most_parts();
    let items = HEADS * parts * text_count();
    for (var item = wg_index; item < items; item += WORKGROUPS) {
        attend(local, item % HEADS, item / HEADS % parts, item / HEADS / parts);
    }

    for (var first = 0u; first < text_count(); first += CHUNK_2) {
        if wg_index < SHARERS_2 {
            let rows = receive_attention(local, first);
#if PACK_KEYS_2
            send_pack_scores_2(local, wg_index, pack_key_2, rows);
#endif
            stage_2(local, rows);
        }
        for (var block = wg_index; block < BLOCKS_2; block += WORKGROUPS) {
            if is_to_load(block, wg_index, first, BLOCKS_2) {
                weights_2 = load_2(local, block);
            }
            let sums = product_2(local, block, weights_2);
            let at = block * ROW_BLOCK_2 + local;
            if local < ROW_BLOCK_2 && at < ROWS_2 {
                #unroll T CHUNK_2
                send_of(first + $Tu, AT_2 + place(at, GROUPS_3), sums[$T]);
                #end
            }
        }
    }

    var weights_3 = load_3(local, wg_index);
    workgroupBarrier(); // what this workgroup has sent is sent, before it waits
    var looks_3: Looks_3;
    for (var first = 0u; first < text_count(); first += CHUNK_3) {
        var before = residual_3(wg_index * ROW_BLOCK_3 + local, first, layer);
        if wg_index < BLOCKS_3 {
            wait_for_texts(local, first, CHUNK_3, layer_mail + AT_2, GROUPS_3 * 32u);
#if PACK_VALUES_3
            pack_scores = layer_mail + AT_PACKS_2;
#endif
            if first == 0u {
                looks_3 = look_at_rows_3(local, first, layer_mail + AT_2);
            }
            stage_3(local, weights_of_3(local, receive_rows_3(local, first, layer_mail + AT_2, looks_3)));
            if first + CHUNK_3 < text_count() {
                looks_3 = look_at_rows_3(local, first + CHUNK_3, layer_mail + AT_2);
            }
        }
        for (var block = wg_index; block < BLOCKS_3; block += WORKGROUPS) {
            if is_to_load(block, wg_index, first, BLOCKS_3) {
                weights_3 = load_3(local, block);
            }
            if block > wg_index {
                before = residual_3(block * ROW_BLOCK_3 + local, first, layer);
            }
            let sums = product_3(local, block, weights_3);
            let at = block * ROW_BLOCK_3 + local;
            if local < ROW_BLOCK_3 && at < ROWS_3 {
                #unroll T CHUNK_3
                send_of(first + $Tu, AT_H + place(at, GROUPS_4), before[$T] + sums[$T]);
                #end
            }
        }
    }

    var weights_4 = load_4(local, wg_index);
#if PACK_KEYS_4
    let pack_key_4 = load_pack_key_4(local, wg_index);
#endif
    var looks_4: Looks_4;
    for (var first = 0u; first < text_count(); first += CHUNK_4) {
        if wg_index < SHARERS_4 {
            wait_for_texts(local, first, CHUNK_4, layer_mail + AT_H, D_MODEL);
            if first == 0u {
                looks_4 = look_at_rows_4(local, first, layer_mail + AT_H);
            }
            let rows = normalized_4(local, receive_rows_4(local, first, layer_mail + AT_H, looks_4));
#if PACK_KEYS_4
            send_pack_scores_4(local, wg_index, pack_key_4, rows);
#endif
            stage_4(local, rows);
            if first + CHUNK_4 < text_count() {
                looks_4 = look_at_rows_4(local, first + CHUNK_4, layer_mail + AT_H);
            }
        }
        for (var block = wg_index; block < BLOCKS_4; block += WORKGROUPS) {
            if is_to_load(block, wg_index, first, BLOCKS_4) {
                weights_4 = load_4(local, block);
            }
            let sums = product_4(local, block, weights_4);
            let at = block * ROW_BLOCK_4 + local;
            if local < ROW_BLOCK_4 && at < ROWS_4 {
                #unroll T CHUNK_4
                send_of(first + $Tu, AT_4 + place(at, GROUPS_5), sums[$T]);
                #end
            }
        }
    }

    var weights_5 = load_5(local, wg_index);
    workgroupBarrier(); // what this workgroup has sent is sent, before it waits
    var looks_5: Looks_5;
    for (var first = 0u; first < text_count(); first += CHUNK_5) {
        var before = residual_5(wg_index * ROW_BLOCK_5 + local, first);
        if wg_index < BLOCKS_5 {
            wait_for_texts(local, first, CHUNK_5, layer_mail + AT_4, GROUPS_5 * 32u);
#if PACK_VALUES_5
            pack_scores = layer_mail + AT_PACKS_4;
#endif
            if first == 0u {
                looks_5 = look_at_rows_5(local, first, layer_mail + AT_4);
            }
            stage_5(local, weights_of_5(local, receive_rows_5(local, first, layer_mail + AT_4, looks_5)));
            if first + CHUNK_5 < text_count() {
                looks_5 = look_at_rows_5(local, first + CHUNK_5, layer_mail + AT_4);
            }
        }
        for (var block = wg_index; block < BLOCKS_5; block += WORKGROUPS) {
            if is_to_load(block, wg_index, first, BLOCKS_5) {
                weights_5 = load_5(local, block);
            }
            if block > wg_index {
                before = residual_5(block * ROW_BLOCK_5 + local, first);
            }
            let sums = product_5(local, block, weights_5);
            let at = block * ROW_BLOCK_5 + local;
            if local < ROW_BLOCK_5 && at < ROWS_5 {
                #unroll T CHUNK_5
                let value$T = before[$T] + sums[$T];
                if layer + 1u < LAYERS {
                    send_of(first + $Tu, AT_OUT + place(at, GROUPS_0), value$T);
                } else if first + $Tu < text_count() {
                    h[(first + $Tu) * D_MODEL + at] = value$T;
                }
                #end
            }
        }
    }
}

@compute @workgroup_size(WG)
fn main(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
#if SUBGROUPS
    @builtin(subgroup_size) width: u32,
#endif
) {
#if SUBGROUPS
    subgroup_width = width;
#endif
#if SEVERAL
    for (var i = group.x * WG + local; i < FAILED; i += WORKGROUPS * WG) {
        atomicStore(&mailbox[room.old + i], 0u);
    }
    let has_failed = atomicLoad(&mailbox[room.old + FAILED]) != 0u;
#else
    for (var i = group.x * WG + local; i < FAILED / 4u; i += WORKGROUPS * WG) {
        old[i] = vec4<u32>();
    }
    let has_failed = old[FAILED / 4u].x != 0u;
#endif
    // After a timeout, results no longer matter and no workgroup needs to wait: neither workgroups that start when the
    // first ones are done, nor dispatches that were submitted before the host knew. The failure words of both sets are
    // never cleared here.
    if atomicLoad(&mailbox[failed_at()]) != 0u || has_failed {
        spin_limit = 0u;
    }
    for (var layer = 0u; layer < LAYERS; layer++) {
        run_layer(local, group.x, layer);
    }
}
