// How likely given tokens were: log-softmax of a row of logits at its target, and whether that is the best.
//
// Bindings
//   0  step     uniform Step: rows first_row … first_row + T − 1 of the chunk are scored
//   1  logits   f32 [T, V]
//   2  targets  u32 [chunk]: a row's token, below V
//   3  scores   Score [chunk]
// Grid: (1, T) workgroups of WG threads. Constants: WG, V.

#include "reduce.wgsl"
#include "step.wgsl"

struct Score {
    // Natural logarithm of the target's probability, over all V.
    logprob: f32,
    // 1 if no real id has a higher logit; among equals, the lowest id is the best.
    is_best: u32,
}

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> scores: array<Score>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let row = group.y * V;
    let target_id = targets[step.first_row + group.y];
    let value = logits[row + target_id];
    var highest = value;
    for (var id = local; id < V; id += WG) {
        highest = max(highest, logits[row + id]);
    }
    highest = workgroup_max(local, highest);
    // Σ exp(x − highest), and how many ids are better than the target.
    var sums = vec2<f32>();
    for (var id = local; id < V; id += WG) {
        let x = logits[row + id];
        let is_better = id < step.real_ids && (x > value || (x == value && id < target_id));
        sums += vec2<f32>(exp(x - highest), select(0.0, 1.0, is_better));
    }
    sums = workgroup_sum2(local, sums);
    if local == 0u {
        let is_best = target_id < step.real_ids && sums.y == 0.0;
        scores[step.first_row + group.y] = Score(value - highest - log(sums.x), select(0u, 1u, is_best));
    }
}
