// Sum and maximum over a workgroup of WG threads (a power of two). Every thread of the workgroup must call them; the
// first barrier also orders earlier writes to workgroup memory.
//   SUBGROUPS   threads of a subgroup reduce among themselves, then one of each in workgroup memory: two barriers
//               instead of one per halving. Subgroups are assumed to be runs of neighbouring local indices; their
//               width is the builtin's, which main puts into `subgroup_width`.

var<workgroup> tree: array<f32, WG>;
var<workgroup> tree2: array<vec2<f32>, WG>;

#if SUBGROUPS
var<private> subgroup_width: u32;

fn workgroup_sum(local: u32, value: f32) -> f32 {
    let own = subgroupAdd(value);
    workgroupBarrier(); // an earlier result may still be being read
    if local % subgroup_width == 0u {
        tree[local / subgroup_width] = own;
    }
    workgroupBarrier();
    var sum = tree[0];
    for (var i = 1u; i < WG / subgroup_width; i++) {
        sum += tree[i];
    }
    return sum;
}

// Two sums at once.
fn workgroup_sum2(local: u32, value: vec2<f32>) -> vec2<f32> {
    let own = subgroupAdd(value);
    workgroupBarrier();
    if local % subgroup_width == 0u {
        tree2[local / subgroup_width] = own;
    }
    workgroupBarrier();
    var sum = tree2[0];
    for (var i = 1u; i < WG / subgroup_width; i++) {
        sum += tree2[i];
    }
    return sum;
}

fn workgroup_max(local: u32, value: f32) -> f32 {
    let own = subgroupMax(value);
    workgroupBarrier();
    if local % subgroup_width == 0u {
        tree[local / subgroup_width] = own;
    }
    workgroupBarrier();
    var highest = tree[0];
    for (var i = 1u; i < WG / subgroup_width; i++) {
        highest = max(highest, tree[i]);
    }
    return highest;
}
#else

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
#endif
