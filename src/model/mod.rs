//! A TokenFormer on the GPU, from the lowest floor to the highest:
//!
//! - `tables`, `weights`, `kv_cache`: what lies on the device for good; `tails`: keys and values of several texts;
//! - `kernels`: a room for each kernel, with what it is compiled with, its bindings and its workgroups;
//! - `sampling_buffers`, `scratch`: the buffers of a step, whose sizes the kernels tell; `room`: whether there is room for all;
//! - `stage`, `plan`: the dispatches of a step in their order; `persistent`: many layers in one dispatch;
//! - `group`: Pattentions that run as one;
//! - `pack_tables`: the tokens of packs on the device; `packs`: those that take part; `with_packs`: having them do so;
//! - `flights`: tokens between GPU and host; `choosing`: what the host knows of a completion whose tokens the GPU chooses;
//! - `several`: what several texts have that are written at once; `writing_several`: their steps; `several_teams`,
//!   `trying_several`: who makes their layers;
//! - `gpu_model`, `loading`, `backend`: a model that can run, where it comes from, and what it is for the loop above;
//! - `inspecting`: what looking at parameter tokens takes; `look_inside`: looking at those of a model;
//! - `training`: token packs are trained;
//! - `conformance`: each kernel alone against plain arithmetic;
//! - `tune`, `check`, `pace`, `profile`: which way of making steps is fastest here, whether it is right, whether the CPU would
//!   be faster, and how long kernels take.

mod backend;
mod check;
mod choosing;
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
mod sampling_buffers;
mod scratch;
mod several;
mod several_teams;
mod stage;
mod tables;
mod tails;
#[cfg(all(test, feature = "native-gpu"))]
mod tests;
mod training;
mod trying_several;
mod tune;
mod weights;
mod with_packs;
mod writing_several;

pub use gpu_model::GpuModel;
pub use kernels::layers::{Arithmetic, Team};
pub use loading::Loading;
pub use profile::KernelTime;
pub use tables::Placement;
pub use tune::{Choice, Preparation, Prepared};
pub use weights::Weights;
