// Y = X·Wᵀ for the tokens of a chunk; the table is dequantized once per tile into workgroup memory.
//   RESIDUAL   Y += X·Wᵀ
// The rows of W may fall into equal segments; segment z reads its own columns of X (the value tables of
// query, key and value, each with its own weights).
//
// Bindings
//   0, 1  table W[segments · segment_rows, 32·groups] (table.wgsl)
//   2     step   uniform Step
//   3     x      f32 [T, segments · 32·groups]
//   4     y      f32 [T, y_stride], written from column y_start on
//   5     shape  uniform Shape: not constants, so that one pipeline serves every table of a model
// Grid: (ceil(segment_rows / TILE), ceil(T / TILE), segments) workgroups of 256 threads, 4 × 4 results each.

#include "table_group.wgsl"
#include "step.wgsl"

const TILE = 64u;
const QUADS = TILE / 4u;
struct Shape {
    groups: u32,
    segments: u32,
    segment_rows: u32,
    y_stride: u32,
    y_start: u32,
}

@group(0) @binding(2) var<uniform> step: Step;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> shape: Shape;

// Column k of the tile: [k · QUADS + q] holds rows 4q … 4q + 3.
var<workgroup> xs: array<vec4<f32>, 32u * QUADS>;
// Row n of the tile: [k4 · TILE + n] holds columns 4·k4 … 4·k4 + 3.
var<workgroup> ws: array<vec4<f32>, 8u * TILE>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let segment = group.z;
    let cols = shape.groups * 32u;
    let n0 = group.x * TILE;
    let t0 = group.y * TILE;
    let tq = local / 16u; // rows t0 + 4·tq …
    let nq = local % 16u; // columns n0 + nq, + 16, + 32, + 48
    var acc: array<vec4<f32>, 4>; // acc[j]: column nq + 16·j, one row per component
    for (var g = 0u; g < shape.groups; g++) {
        for (var i = local; i < 32u * QUADS; i += 256u) {
            let k = i % 32u;
            let q = i / 32u;
            var v = vec4<f32>();
            for (var c = 0u; c < 4u; c++) {
                let t = t0 + q * 4u + c;
                if t < step.count {
                    v[c] = x[(t * shape.segments + segment) * cols + g * 32u + k];
                }
            }
            xs[k * QUADS + q] = v;
        }
        if local < TILE {
            // Rows past the end are copies of the last one and are never stored.
            let n = min(n0 + local, shape.segment_rows - 1u);
            var w = table_group((segment * shape.segment_rows + n) * shape.groups + g);
            for (var k4 = 0u; k4 < 8u; k4++) {
                ws[k4 * TILE + local] = w[k4];
            }
        }
        workgroupBarrier();
        for (var k4 = 0u; k4 < 8u; k4++) {
            let a0 = xs[(k4 * 4u) * QUADS + tq];
            let a1 = xs[(k4 * 4u + 1u) * QUADS + tq];
            let a2 = xs[(k4 * 4u + 2u) * QUADS + tq];
            let a3 = xs[(k4 * 4u + 3u) * QUADS + tq];
            for (var j = 0u; j < 4u; j++) {
                let w = ws[k4 * TILE + nq + 16u * j];
                acc[j] += a0 * w.x + a1 * w.y + a2 * w.z + a3 * w.w;
            }
        }
        workgroupBarrier();
    }
    for (var j = 0u; j < 4u; j++) {
        let n = n0 + nq + 16u * j;
        for (var c = 0u; c < 4u; c++) {
            let t = t0 + tq * 4u + c;
            if n < shape.segment_rows && t < step.count {
                let at = t * shape.y_stride + shape.y_start + segment * shape.segment_rows + n;
#if RESIDUAL
                y[at] += acc[j][c];
#else
                y[at] = acc[j][c];
#endif
            }
        }
    }
}
