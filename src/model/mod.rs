//! A TokenFormer on the GPU, from the lowest layer of the code to the highest:
//!
//! - `tables`, `weights`, `kv_cache`: permanent buffers on the device; `tails`: keys and values of several texts;
//! - `kernels`: a module for each kernel, with its constants, its bindings and its workgroups;
//! - `sampling_buffers`, `scratch`: the buffers of a step, whose sizes the kernels define; `room`: whether everything
//!   fits;
//! - `stage`, `plan`: the dispatches of a step in their order; `persistent`: many layers in one dispatch;
//! - `group`: Pattentions that run together;
//! - `pack_tables`: the tokens of packs on the device; `packs`: the active packs; `with_packs`: activating them;
//! - `flights`: tokens on their way from GPU to host; `choosing`: what the host knows of a completion whose tokens the
//!   GPU chooses;
//! - `several`: the state of several texts that are generated at once; `writing_several`: their steps; `several_teams`,
//!   `trying_several`: which team makes their layers;
//! - `gpu_model`, `loading`, `backend`: a model that can run, how it is loaded, and its interface for the generation
//!   loop;
//! - `inspecting`: buffers and dispatches for inspecting parameter tokens; `look_inside`: inspecting those of a model;
//! - `training`: training token packs;
//! - `conformance`: each kernel alone against plain arithmetic;
//! - `tune`, `check`, `pace`, `profile`: which way of making steps is fastest here, whether it is correct, whether the
//!   CPU would be faster, and how long kernels take.

mod ahead;
mod backend;
mod check;
mod choosing;
mod chunk_products;
pub mod conformance;
mod flights;
mod gpu_model;
mod group;
mod inspecting;
mod kernels;
mod kv_cache;
mod loading;
mod look_inside;
mod pace;
mod pack_tables;
mod packs;
mod persistent;
mod plan;
mod profile;
mod room;
mod sample;
mod sampling_buffers;
mod scoring;
mod scratch;
mod several;
mod several_teams;
mod stage;
mod tables;
mod tails;
#[cfg(all(test, feature = "native-gpu"))]
mod tests;
mod training;
mod trying_bytes;
mod trying_several;
mod tune;
mod weights;
mod with_packs;
mod writing_several;

pub use ahead::Ahead;
pub use gpu_model::GpuModel;
pub use kernels::layers::{Arithmetic, Team};
pub use loading::{Known, Loading};
pub use profile::KernelTime;
pub use sample::Sample;
pub use tables::Placement;
pub use tune::{Choice, Preparation, Prepared, TEAM_ROUNDS, goes_on};
pub use weights::Weights;
