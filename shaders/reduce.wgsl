// Sum and maximum over a workgroup of WG threads (a power of two), by a tree. Every thread of the
// workgroup must call them; the first barrier also orders what was written to workgroup memory before.

var<workgroup> tree: array<f32, WG>;

fn workgroup_sum(local: u32, value: f32) -> f32 {
    workgroupBarrier(); // an earlier result may still be being read
    tree[local] = value;
    for (var half = WG / 2u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if local < half {
            tree[local] += tree[local + half];
        }
    }
    workgroupBarrier();
    return tree[0];
}

var<workgroup> tree2: array<vec2<f32>, WG>;

// Two sums at once.
fn workgroup_sum2(local: u32, value: vec2<f32>) -> vec2<f32> {
    workgroupBarrier();
    tree2[local] = value;
    for (var half = WG / 2u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if local < half {
            tree2[local] += tree2[local + half];
        }
    }
    workgroupBarrier();
    return tree2[0];
}

fn workgroup_max(local: u32, value: f32) -> f32 {
    workgroupBarrier();
    tree[local] = value;
    for (var half = WG / 2u; half > 0u; half >>= 1u) {
        workgroupBarrier();
        if local < half {
            tree[local] = max(tree[local], tree[local + half]);
        }
    }
    workgroupBarrier();
    return tree[0];
}
