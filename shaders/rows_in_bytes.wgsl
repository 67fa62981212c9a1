// Rows of X as factors of dot4I8Packed (matmul_bytes.wgsl): each value is 256 · coarse + fine, two signed bytes, in units
// of a scale for 32 columns, so its error is at most 1/65,000 of the largest of them.
//   Q4   columns are in the order of the slots of such a table (group.wgsl), otherwise one after another
//
// Bindings
//   0  x       f32 [T, 32·GROUPS] as vec4<f32>
//   1  bytes   u32 [T, GROUPS, 16] as vec2<u32>: eight words of coarse bytes, then eight of fine ones
//   2  scales  f32 [T, GROUPS]
// Grid: (ceil(4·GROUPS / WG), T) workgroups of WG threads, each with eight columns. Constants: GROUPS, WG.

const UNITS = 32512.0; // 127 · 256

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> bytes_of_x: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> scales: array<f32>;

var<workgroup> largest: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
    let i = workgroup.x * WG + local;
    let row = workgroup.y * GROUPS;
    let at = (row + min(i / 4u, GROUPS - 1u)) * 8u + i % 4u * 2u;
    let first = x[at];
    let second = x[at + 1u];
    let m = max(abs(first), abs(second));
    largest[local] = max(max(m.x, m.y), max(m.z, m.w));
    workgroupBarrier();
    if i >= 4u * GROUPS {
        return;
    }
    let four = local / 4u * 4u;
    let most = max(max(largest[four], largest[four + 1u]), max(largest[four + 2u], largest[four + 3u]));
    let factor = select(0.0, UNITS / most, most > 0.0);
#if Q4
    let slot0 = vec4<i32>(round(vec4<f32>(first.xz, second.xz) * factor));
    let slot1 = vec4<i32>(round(vec4<f32>(first.yw, second.yw) * factor));
#else
    let slot0 = vec4<i32>(round(first * factor));
    let slot1 = vec4<i32>(round(second * factor));
#endif
    let coarse0 = (slot0 + vec4<i32>(128)) >> vec4<u32>(8u);
    let coarse1 = (slot1 + vec4<i32>(128)) >> vec4<u32>(8u);
    let to = (row + i / 4u) * 8u + i % 4u;
    bytes_of_x[to] = vec2<u32>(pack4xI8(coarse0), pack4xI8(coarse1));
    bytes_of_x[to + 4u] = vec2<u32>(pack4xI8(slot0 - coarse0 * 256), pack4xI8(slot1 - coarse1 * 256));
    if i % 4u == 0u {
        scales[row + i / 4u] = most / UNITS;
    }
}
