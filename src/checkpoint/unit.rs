//! Units: the pieces in which a model is downloaded, verified, stored and put on the GPU.
//!
//! The units of a file are consecutive byte ranges that cover all of it. What is kept of a unit is either its
//! own bytes (a quantized folder) or what they were converted to (a published checkpoint).

use super::folder::Section;
use super::layout::TensorId;
use super::regions::Region;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Some of a unit's bytes, which belong to one tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The tensor.
    pub id: TensorId,
    /// Elements or scales.
    pub region: Region,
    /// Where they begin in the tensor's region, in bytes.
    pub offset: u64,
    /// Where they begin in the unit, in bytes.
    pub at: u32,
    /// The number of bytes.
    pub len: u32,
}

/// Which of a unit's bytes belong to which tensor. `sections` are in the order of the file.
pub fn pieces(unit: &Range<u64>, sections: &[Section]) -> Vec<Piece> {
    let first = sections.partition_point(|s| s.bytes.end <= unit.start);
    let inside = sections[first..].iter().take_while(|s| s.bytes.start < unit.end);
    let piece = |s: &Section| {
        let (from, to) = (s.bytes.start.max(unit.start), s.bytes.end.min(unit.end));
        let offset = from - s.bytes.start;
        Piece { id: s.id, region: s.region, offset, at: (from - unit.start) as u32, len: (to - from) as u32 }
    };
    inside.map(piece).filter(|p| p.len > 0).collect()
}

/// True if the pieces of all units together are every byte of `sections`, each once.
pub fn covers(
    pieces: impl Iterator<Item = (TensorId, Region, u64, u64)>,
    expected: &[(TensorId, Region, u64)],
) -> bool {
    let mut all: Vec<_> = pieces.collect();
    all.sort_unstable();
    let mut rest = all.into_iter().peekable();
    let whole = |&(id, region, bytes): &(TensorId, Region, u64)| {
        let mut end = 0;
        while let Some((_, _, _, len)) = rest.next_if(|p| (p.0, p.1, p.2) == (id, region, end)) {
            end += len;
        }
        end == bytes
    };
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    expected.iter().all(whole) && rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::cut;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn units_hold_every_byte_of_every_section(lens in prop::collection::vec((0u64..50, 0u64..9), 1..9), unit in 1u64..40) {
            let mut sections = Vec::new();
            let mut end = 0;
            for (layer, (len, gap)) in lens.iter().enumerate() {
                let id = TensorId::Tokens {
                    layer, pattention: crate::pattention::Pattention::Mlp, side: super::super::layout::Side::Keys };
                sections.push(Section { id, region: Region::Elements, bytes: end + gap..end + gap + len });
                end += gap + len;
            }
            let units = cut(end, unit);
            let all = |skip: usize| -> Vec<_> {
                units.iter().flat_map(|u| pieces(u, &sections)).skip(skip)
                    .map(|p| (p.id, p.region, p.offset, u64::from(p.len))).collect()
            };
            let expected: Vec<_> = sections.iter().map(|s| (s.id, s.region, s.bytes.end - s.bytes.start)).collect();
            prop_assert!(covers(all(0).into_iter(), &expected));
            if !all(0).is_empty() {
                prop_assert!(!covers(all(1).into_iter(), &expected));
            }
        }
    }
}
