//! Checkpoints: reading the published `pytorch_model.bin`, reading and writing quantized model folders.

pub mod layout;
