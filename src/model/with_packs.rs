//! Activating packs, and deactivating them.

use super::gpu_model::GpuModel;
use super::pack_tables::{PackTables, too_large};
use super::packs::Packs;
use super::persistent;
use super::plan::LayerStages;
use super::several::Several;
use crate::engine::{Backend, Changes};
use crate::error::{ErrorCode, Result};
use crate::packs::{Merged, ablated_base};

impl GpuModel {
    /// Activates these packs and ablations, and no others; see [`Backend::set_packs`] and [`Backend::ablate`].
    pub(super) async fn change(&mut self, changes: Changes) -> Result<()> {
        self.gpu.check()?;
        self.changes = Changes::default();
        if let Err(e) = self.use_changes(&changes).await {
            self.forget_context();
            self.drop_packs().await?;
            return Err(e);
        }
        self.changes = changes;
        Ok(())
    }

    /// Drops what was computed with other packs, or without: it is no longer valid.
    fn forget_context(&mut self) {
        self.stop_choosing();
        self.truncate(0);
        (self.inspecting, self.together) = (None, None);
    }

    async fn use_changes(&mut self, changes: &Changes) -> Result<()> {
        changes.check(&self.config)?;
        let base = self.read_tokens(&ablated_base(&changes.ablations)).await?;
        let merged = changes.merged(self.config.hidden_size, &base);
        let counts = merged.counts(self.config.num_layers);
        self.forget_context();
        if let Some(packs) = self.packs.as_mut().filter(|packs| packs.tables.are_for(&counts)) {
            packs.tables.write(&self.gpu, &merged);
            packs.merged = merged;
            self.drop_tails();
            return Ok(());
        }
        self.drop_packs().await?;
        if merged.is_empty() { Ok(()) } else { self.add_packs(merged, counts).await }
    }

    /// Allocates and compiles, if there are no packs yet.
    async fn add_packs(&mut self, merged: Merged, counts: Vec<[usize; 5]>) -> Result<()> {
        let values: usize = counts.iter().flatten().map(|tokens| 2 * tokens * self.config.hidden_size).sum();
        let room = || PackTables::new(&self.gpu, &self.config, (&self.weights, &self.scratch), counts);
        let tables = match self.gpu.scoped("Making room for token packs", room).await {
            Err(e) if e.code == ErrorCode::OutOfMemory => {
                return Err(too_large(values as u64 * 4).caused_by(e.to_string()));
            }
            result => result?,
        };
        tables.write(&self.gpu, &merged);
        let parts = super::plan::Parts { packs: Some(&tables), ..self.parts() };
        let mut kernels = LayerStages::kernels(parts)?;
        let team = self.team();
        kernels.extend(team.and_then(|team| persistent::warm(parts, team)));
        kernels.iter_mut().for_each(|kernel| kernel.begin(&self.gpu));
        for kernel in &mut kernels {
            // What fails here fails again below, with a message.
            kernel.is_compiled().await;
        }
        let layers = self.gpu.scoped("Compiling the kernels for token packs", || LayerStages::new(parts)).await?;
        self.packs = Some(Packs { tables, merged, layers, base: self.persistent.take() });
        let Some(team) = team else { return Ok(()) };
        // This is a different kernel from the one that was tried, so it is tried again.
        let tried = match self.logits_of_step().await {
            Ok(wanted) => self.tried(team, &wanted).await,
            Err(e) => Err(e),
        };
        match tried {
            Ok(persistent) => self.persistent = persistent,
            Err(e) => {
                self.drop_packs().await?;
                return Err(e);
            }
        }
        Ok(())
    }

    /// Returns to the state without packs.
    ///
    /// # Errors
    /// `device-lost`.
    pub(super) async fn drop_packs(&mut self) -> Result<()> {
        // Their dispatches refer to the packs' tables.
        (self.several, self.inspecting, self.together) = (Several::default(), None, None);
        let Some(Packs { base, .. }) = self.packs.take() else { return Ok(()) };
        let with_packs = self.persistent.take().map(|persistent| persistent.team);
        match (with_packs, base) {
            (Some(team), base) if base.as_ref().is_none_or(|base| base.team != team) => {
                // The team was chosen while packs were active.
                match self.employ(team).await {
                    Err(e) if e.code == ErrorCode::DeviceLost => return Err(e),
                    Ok(true) => {}
                    _ => self.persistent = base,
                }
            }
            (_, base) => self.persistent = base,
        }
        Ok(())
    }
}
