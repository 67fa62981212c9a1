// The texts of layers.wgsl: how many there are, where each stands, and where its mail is. Without SEVERAL there is one, and a
// compiler is left with constants.
// Needs what layers.wgsl declares.

#if SEVERAL
// Where what a dispatch needs lies in buffers whose layout is not compiled in.
struct Room {
    // First words of the mailbox that this dispatch sends by, and of that which another has left.
    mine: u32,
    old: u32,
    // Octets of tails from layer to layer, and from keys to values.
    tail_stride: u32,
    tail_values: u32,
}
@group(0) @binding(9) var<uniform> steps: array<TextStep, MOST_TEXTS>;
@group(0) @binding(10) var<uniform> room: Room;

fn first_mail() -> u32 {
    return room.mine;
}

fn text_count() -> u32 {
    return step.count;
}

// Chunks may be longer than there are texts: what is past the last is the last again, and sent by nobody.
fn text_of(text: u32) -> u32 {
    return min(text, step.count - 1u);
}

fn step_of(text: u32) -> Step {
    return steps[text_of(text)].step;
}
#else
fn first_mail() -> u32 {
    return 0u;
}

fn text_count() -> u32 {
    return 1u;
}

fn text_of(text: u32) -> u32 {
    return 0u;
}

fn step_of(text: u32) -> Step {
    return step;
}
#endif

fn failed_at() -> u32 {
    return first_mail() + FAILED;
}

// Where a text's mail begins, in that of the layer.
fn text_mail(text: u32) -> u32 {
    return text_of(text) * MAILBOX_STRIDE;
}

// Sends a value of a text, if there is such a text.
fn send_of(text: u32, at: u32, value: f32) {
    if text < text_count() {
        send(layer_mail + text_mail(text) + at, value);
    }
}

// Waits for what `chunk` texts from `first` on need, which begins at `at` for the first text. Every thread must call it. What is
// needed for later chunks was sent while the first were worked at, so that looking twice is not worth the time.
fn wait_for_texts(local: u32, first: u32, chunk: u32, at: u32, count: u32) {
    if first == 0u {
        wait_for(local, at + text_mail(chunk - 1u), count);
    } else {
        workgroupBarrier(); // what this workgroup has sent is sent
    }
}
