//! The CPU reference against the published code's float64 results (tests/fixtures), and against
//! PyTorch's results for the embedded model (golden.json).

use crate::common::{fixture, floats, relative_error};
use tokenformer_web::checkpoint::files::PytorchFile;
use tokenformer_web::config::PartialConfig;
use tokenformer_web::reference::Reference;

/// Permitted error of f32 against float64.
const TOLERANCE: f64 = 1e-4;

#[test]
fn fixtures_agree_with_the_published_code() {
    for name in crate::common::FIXTURES {
        let json = std::fs::read(fixture(name).join("config.json")).expect("config.json");
        let config = PartialConfig::from_json(&json).expect("config");
        let mut source = PytorchFile::open(&fixture(name).join("pytorch_model.bin"), Some(config)).expect(name);
        let mut model = Reference::load(&mut source, false).expect(name);
        let (d, vocab) = (model.config().hidden_size, model.config().padded_vocab_size);
        let expected = std::fs::read(fixture(name).join("expected.safetensors")).expect("expected");
        let expected = safetensors::SafeTensors::deserialize(&expected).expect("expected");
        let ids = crate::common::ids(&expected);
        let forward = model.forward(&ids, true).expect("forward");
        assert_eq!(forward.hidden.len(), model.config().num_layers + 1);
        for (layer, hidden) in forward.hidden.iter().enumerate() {
            let want = floats(&expected, &format!("hidden.{layer}"));
            for (t, (got, want)) in hidden.chunks(d).zip(want.chunks(d)).enumerate() {
                let error = relative_error(got, want);
                assert!(error < TOLERANCE, "{name}: hidden.{layer} at {t}: {error:.1e}");
            }
        }
        let want = floats(&expected, "logits");
        for (t, (got, want)) in model.logits(&forward.last).chunks(vocab).zip(want.chunks(vocab)).enumerate() {
            let error = relative_error(got, want);
            assert!(error < TOLERANCE, "{name}: logits at {t}: {error:.1e}");
        }
        // Token by token gives the same as the whole at once.
        model.truncate(0);
        let mut last = Vec::new();
        for id in &ids {
            last = model.forward(std::slice::from_ref(id), false).expect("step").last;
        }
        assert!(relative_error(&model.logits(&last), &want[(ids.len() - 1) * vocab..]) < TOLERANCE, "{name}");
    }
}
