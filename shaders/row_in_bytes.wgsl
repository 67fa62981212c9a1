// A row whose kernel computes each column by itself, as factors of products of bytes (in_bytes.wgsl). Where this is
// included, `column(row, i, scale, offset)` is column i of the row that begins at `row`.

#include "in_bytes.wgsl"

// Stores a row of COLS columns whose first one is number `to` of all that are stored. Every thread must call it.
fn store_row_in_bytes(local: u32, to: u32, row: u32, scale: f32, offset: f32) {
    for (var start = 0u; start < COLS / 8u; start += WG) {
        let octet = start + local;
        let at = min(octet, COLS / 8u - 1u) * 8u;
        #unroll I 8
        let v$I = column(row, at + $Iu, scale, offset);
        #end
        let is_in_row = octet < COLS / 8u;
        store_in_bytes(local, to / 8u + octet, is_in_row, vec4<f32>(v0, v1, v2, v3), vec4<f32>(v4, v5, v6, v7));
    }
}
