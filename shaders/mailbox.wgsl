// Values that workgroups of one dispatch send each other. A value is its own flag: a word of `mailbox` is 0 until it is
// written, and the receiver polls it until it is not. So nothing depends on the order in which different words become
// visible, which WGSL does not guarantee; for a single word, atomics guarantee it.
//
// Polling slows the other workgroups down: so a few threads of a workgroup poll a few values, and the other values are
// only read once these have arrived.
//
// A workgroup that waits needs the others to run meanwhile. WGSL does not promise that either: a workgroup that has
// polled SPIN_LIMIT times in vain sets the failure word at failed_at() and continues with the values at hand, and the
// host discards the step.
//
// Needs: mailbox, failed_at(), SPIN_LIMIT.

var<private> spin_limit: u32 = SPIN_LIMIT;

fn send(at: u32, value: f32) {
    let bits = bitcast<u32>(value);
    atomicStore(&mailbox[at], select(bits, 0x80000000u, bits == 0u)); // −0 for 0
}

fn time_out() {
    spin_limit = 0u;
    atomicStore(&mailbox[failed_at()], 1u);
}

// Waits until the first of `count` values from `at` on have arrived. Every thread of the workgroup must call this; by
// then its threads have sent all earlier values, so that no two threads wait for each other.
fn wait_for(local: u32, at: u32, count: u32) {
    workgroupBarrier();
    if local < min(count, 32u) {
        var looks = 0u;
        while looks < spin_limit && atomicLoad(&mailbox[at + local]) == 0u {
            looks++;
        }
        if looks == spin_limit {
            time_out();
        }
    }
    workgroupBarrier();
}

// A value, which should have arrived.
fn receive(at: u32) -> f32 {
    return receive_after(atomicLoad(&mailbox[at]), at);
}

// The same after a first look, so that loads of several values are in flight together.
fn receive_after(first_look: u32, at: u32) -> f32 {
    var bits = first_look;
    for (var looks = 0u; bits == 0u && looks < spin_limit; looks++) {
        bits = atomicLoad(&mailbox[at]);
    }
    if bits == 0u {
        time_out();
    }
    return bitcast<f32>(bits);
}

fn look4(at: u32, stride: u32) -> vec4<u32> {
    return vec4<u32>(
        atomicLoad(&mailbox[at]),
        atomicLoad(&mailbox[at + stride]),
        atomicLoad(&mailbox[at + 2u * stride]),
        atomicLoad(&mailbox[at + 3u * stride]),
    );
}
