// The texts of layers.wgsl: how many there are, their positions, and their mailboxes. Without SEVERAL there is one
// text, and the compiler sees only constants.
// Needs the declarations of layers.wgsl.

#if SEVERAL
// Offsets and strides in buffers whose layout is not compiled in.
struct Room {
    // First words of the mailbox that this dispatch sends by, and of the one that another dispatch has left.
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

// Chunks may exceed the number of texts: indices past the last text repeat it, and are not sent.
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

// Where a text's mailbox begins within the layer's.
fn text_mail(text: u32) -> u32 {
    return text_of(text) * MAILBOX_STRIDE;
}

// Sends a value of a text, if the text exists.
fn send_of(text: u32, at: u32, value: f32) {
    if text < text_count() {
        send(layer_mail + text_mail(text) + at, value);
    }
}

// Waits for the values that `chunk` texts from `first` on need, which begin at `at` for the first text. Every thread
// must call it. The values for later chunks were sent while the first chunks were processed, so that polling them first
// is not worth the time.
fn wait_for_texts(local: u32, first: u32, chunk: u32, at: u32, count: u32) {
    if first == 0u {
        wait_for(local, at + text_mail(chunk - 1u), count);
    } else {
        workgroupBarrier(); // what this workgroup has sent is sent
    }
}
