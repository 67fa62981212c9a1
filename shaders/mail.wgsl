// Values that workgroups of one dispatch send each other. A value is its own flag: a word of `mail` is 0 until it is
// written, and whoever needs it looks until it is not. So nothing is asked of the order in which different words become
// visible, which WGSL does not promise; of one word, atomics promise it.
//
// Looking is what slows the others down: so a few threads of a workgroup look at a few values, and all of them are only
// looked at when these are there.
//
// A workgroup that waits needs the others to run meanwhile. WGSL does not promise that either: who has waited in vain
// for PATIENCE looks says so in the word FAILED, goes on with what is there, and the host throws the step away.
//
// Needs: mail, FAILED, PATIENCE.

var<private> patience: u32 = PATIENCE;

fn send(at: u32, value: f32) {
    let bits = bitcast<u32>(value);
    atomicStore(&mail[at], select(bits, 0x80000000u, bits == 0u)); // −0 for 0
}

fn give_up() {
    patience = 0u;
    atomicStore(&mail[FAILED], 1u);
}

// Waits until the first of `count` values from `at` on are there. Every thread of the workgroup must call it; what its
// threads sent before is sent then, so that nobody waits for a thread that waits for him.
fn wait_for(local: u32, at: u32, count: u32) {
    workgroupBarrier();
    if local < min(count, 32u) {
        var looks = 0u;
        while looks < patience && atomicLoad(&mail[at + local]) == 0u {
            looks++;
        }
        if looks == patience {
            give_up();
        }
    }
    workgroupBarrier();
}

// A value, which should be there.
fn receive(at: u32) -> f32 {
    var bits = atomicLoad(&mail[at]);
    for (var looks = 0u; bits == 0u && looks < patience; looks++) {
        bits = atomicLoad(&mail[at]);
    }
    if bits == 0u {
        give_up();
    }
    return bitcast<f32>(bits);
}

fn look4(at: u32, stride: u32) -> vec4<u32> {
    return vec4<u32>(
        atomicLoad(&mail[at]),
        atomicLoad(&mail[at + stride]),
        atomicLoad(&mail[at + 2u * stride]),
        atomicLoad(&mail[at + 3u * stride]),
    );
}
