// Values as factors of dot4I8Packed (matmul_bytes.wgsl): each is 256 · coarse + fine, two signed bytes, in units of a
// scale for 32 columns, so its error is at most 1/65,000 of the largest of them.
//   Q4   columns are in the order of the slots of such a table (group.wgsl), otherwise one after another
// Where this is included there are WG threads and
//   bytes_of_x    u32 [T, groups, 16] as vec2<u32>: eight words of coarse bytes, then eight of fine ones
//   scales_of_x   f32 [T, groups]

const UNITS = 32512.0; // 127 · 256

var<workgroup> largest: array<f32, WG>;

// Stores eight columns, `octet` counted from the first row on, unless they are past the end of theirs. The columns of a
// group are those of four threads, from a multiple of four on. Every thread must call it.
fn store_in_bytes(local: u32, octet: u32, is_in_row: bool, first: vec4<f32>, second: vec4<f32>) {
    let m = max(abs(first), abs(second));
    workgroupBarrier(); // what an earlier call left may still be being read
    largest[local] = max(max(m.x, m.y), max(m.z, m.w));
    workgroupBarrier();
    if !is_in_row {
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
    let to = octet / 4u * 8u + octet % 4u;
    bytes_of_x[to] = vec2<u32>(pack4xI8(coarse0), pack4xI8(coarse1));
    bytes_of_x[to + 4u] = vec2<u32>(pack4xI8(slot0 - coarse0 * 256), pack4xI8(slot1 - coarse1 * 256));
    if octet % 4u == 0u {
        scales_of_x[octet / 4u] = most / UNITS;
    }
}
