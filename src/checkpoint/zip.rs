//! The ZIP container of `torch.save`: stored entries, ZIP64, found from the end of the file.
//!
//! No I/O happens here. The caller reads [`tail_range`], gives it to [`find_directory`], reads the
//! directory, gives it to [`parse_directory`], and for each entry that it wants reads the local header
//! for [`local_data_offset`]. So the same code runs on files and on HTTP ranges.

use super::sniff::{Kind, mistaken};
use crate::error::{Error, Result};
use crate::sizes::MAX_FILE_BYTES;
use std::collections::HashSet;
use std::ops::Range;

/// Length of a local header before its name and extra field, in bytes.
pub const LOCAL_HEADER_LEN: u64 = 30;
/// Most entries that an archive may have; the largest published model has about 420.
pub const MAX_ENTRIES: u64 = 1 << 16;
/// Most bytes that the directory may have.
pub const MAX_DIRECTORY_LEN: u64 = 16 << 20;

const END_LEN: usize = 22;
const LOCATOR_LEN: usize = 20;
const END64_LEN: usize = 56;
/// End record with the longest comment, ZIP64 locator and ZIP64 end record.
const MAX_TAIL_LEN: u64 = (END_LEN + u16::MAX as usize + LOCATOR_LEN + END64_LEN) as u64;

const FLAG_ENCRYPTED: u16 = 1;
const FLAG_STRONG_ENCRYPTION: u16 = 1 << 6;
const FLAG_MASKED_HEADERS: u16 = 1 << 13;

/// Where the directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Bytes of the directory in the file.
    pub range: Range<u64>,
    /// Entries in it.
    pub entries: u64,
}

/// A stored entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name with its folders.
    pub name: String,
    /// Where its local header begins in the file.
    pub header_offset: u64,
    /// Bytes of its data.
    pub size: u64,
    /// Where the next entry or the directory begins: local header and data lie before it.
    pub limit: u64,
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::unsupported(format!("The checkpoint is not a complete torch.save archive: {what}."))
        .hint("Download it again, or save it with torch.save of PyTorch 1.6 or newer.")
}

fn bytes<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    bytes(data, at).map(u16::from_le_bytes)
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    bytes(data, at).map(u32::from_le_bytes)
}

fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    bytes(data, at).map(u64::from_le_bytes)
}

/// The bytes at the end of the file in which the end records are looked for.
pub fn tail_range(file_len: u64) -> Range<u64> {
    file_len.saturating_sub(MAX_TAIL_LEN)..file_len
}

/// Finds the directory from the file's last bytes, [`tail_range`] or more.
pub fn find_directory(tail: &[u8], file_len: u64) -> Result<Directory> {
    if file_len > MAX_FILE_BYTES {
        return Err(broken(format!("it is said to have {file_len} bytes")));
    }
    let tail_start = file_len.checked_sub(tail.len() as u64).ok_or_else(|| broken("it is shorter than was said"))?;
    let is_end = |at: usize| {
        tail[at..].starts_with(b"PK\x05\x06")
            && u16_at(tail, at + 20).is_some_and(|comment| at + END_LEN + usize::from(comment) == tail.len())
    };
    let end = tail.len().checked_sub(END_LEN).and_then(|last| (0..=last).rev().find(|&at| is_end(at)));
    let end = end.ok_or_else(|| {
        let whole = Some(tail).filter(|_| tail_start == 0);
        let other = whole.and_then(|file| mistaken("The checkpoint", file, Some(Kind::Zip)));
        other.unwrap_or_else(|| broken("the directory at its end is missing"))
    })?;
    let record = parse_end(tail, tail_start, end).ok_or_else(|| broken("its end record makes no sense"))?;
    let EndRecord { offset, size, entries, limit } = record;
    let stop = offset.checked_add(size).filter(|&stop| stop <= limit);
    let stop = stop.ok_or_else(|| broken(format!("its directory of {size} bytes at {offset} is outside the file")))?;
    // 46 bytes is the shortest directory entry: more of them than fit are a lie.
    if entries > MAX_ENTRIES || size > MAX_DIRECTORY_LEN || entries.saturating_mul(46) > size {
        return Err(broken(format!("its directory of {size} bytes claims {entries} entries")));
    }
    Ok(Directory { range: offset..stop, entries })
}

struct EndRecord {
    offset: u64,
    size: u64,
    entries: u64,
    /// Where the first end record begins.
    limit: u64,
}

fn parse_end(tail: &[u8], tail_start: u64, end: usize) -> Option<EndRecord> {
    let (disk, directory_disk) = (u16_at(tail, end + 4)?, u16_at(tail, end + 6)?);
    let (here, entries) = (u16_at(tail, end + 8)?, u16_at(tail, end + 10)?);
    let (size, offset) = (u32_at(tail, end + 12)?, u32_at(tail, end + 16)?);
    let one_disk = |disk: u64| disk == 0 || disk == u64::from(u16::MAX);
    if !one_disk(disk.into()) || !one_disk(directory_disk.into()) || here != entries {
        return None;
    }
    let small =
        EndRecord { offset: offset.into(), size: size.into(), entries: entries.into(), limit: tail_start + end as u64 };
    let Some(locator) = end.checked_sub(LOCATOR_LEN).filter(|&at| tail[at..].starts_with(b"PK\x06\x07")) else {
        let sentinel = entries == u16::MAX || size == u32::MAX || offset == u32::MAX;
        return (!sentinel).then_some(small);
    };
    let limit = u64_at(tail, locator + 8)?;
    let at = usize::try_from(limit.checked_sub(tail_start)?).ok()?;
    if at > locator || !tail.get(at..)?.starts_with(b"PK\x06\x06") {
        return None;
    }
    let big = EndRecord {
        offset: u64_at(tail, at + 48)?,
        size: u64_at(tail, at + 40)?,
        entries: u64_at(tail, at + 32)?,
        limit,
    };
    // Two readers must not see two archives: a 32-bit value that is no placeholder says the same.
    let agree = (small.offset == u64::from(u32::MAX) || small.offset == big.offset)
        && (small.size == u64::from(u32::MAX) || small.size == big.size)
        && (small.entries == u64::from(u16::MAX) || small.entries == big.entries);
    let first_disk = u32_at(tail, at + 16)? == 0 && u32_at(tail, at + 20)? == 0;
    (agree && first_disk && u64_at(tail, at + 24)? == big.entries).then_some(big)
}

/// Reads the entries of the directory (`data`: the bytes of [`Directory::range`]).
pub fn parse_directory(data: &[u8], directory: &Directory) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut names = HashSet::new();
    let mut rest = data;
    for _ in 0..directory.entries {
        let (entry, len) = parse_entry(rest, directory)?;
        if !names.insert(entry.name.clone()) {
            return Err(broken(format!("it holds two entries named {:?}", entry.name)));
        }
        rest = &rest[len..];
        entries.push(entry);
    }
    if !rest.is_empty() || data.len() as u64 != directory.range.end - directory.range.start {
        return Err(broken("its directory has another length than its end record says"));
    }
    // Entries that overlap let a small file stand for a huge one.
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&i| entries[i].header_offset);
    for (at, &i) in order.iter().enumerate() {
        let limit = order.get(at + 1).map_or(directory.range.start, |&next| entries[next].header_offset);
        let Entry { header_offset, size, .. } = entries[i];
        let end = header_offset.checked_add(LOCAL_HEADER_LEN).and_then(|start| start.checked_add(size));
        if end.is_none_or(|end| end > limit) {
            let name = &entries[i].name;
            return Err(broken(format!("entry {name:?} of {size} bytes at {header_offset} runs into what follows")));
        }
        entries[i].limit = limit;
    }
    Ok(entries)
}

/// One directory entry and its length in the directory.
fn parse_entry(data: &[u8], directory: &Directory) -> Result<(Entry, usize)> {
    let truncated = || broken("its directory is truncated");
    if !data.starts_with(b"PK\x01\x02") {
        return Err(broken("its directory holds something else than entries"));
    }
    let short = |at| u16_at(data, at).ok_or_else(truncated);
    let long = |at| u32_at(data, at).ok_or_else(truncated);
    let (flags, method) = (short(8)?, short(10)?);
    let (stored, size, disk, offset) = (long(20)?, long(24)?, short(34)?, long(42)?);
    let (name_len, extra_len, comment_len) =
        (usize::from(short(28)?), usize::from(short(30)?), usize::from(short(32)?));
    let name = data.get(46..46 + name_len).ok_or_else(truncated)?;
    let extra = data.get(46 + name_len..46 + name_len + extra_len).ok_or_else(truncated)?;
    let len = 46 + name_len + extra_len + comment_len;
    if len > data.len() {
        return Err(truncated());
    }
    let name = std::str::from_utf8(name).map_err(|e| broken("an entry's name is not UTF-8").caused_by(e))?;
    check_storage(name, flags, method)?;
    let mut big = Zip64 { fields: zip64_extra(extra).unwrap_or_default() };
    let values = (|| {
        let size = big.resolve(size)?;
        let stored = big.resolve(stored)?;
        let offset = big.resolve(offset)?;
        (disk == 0 || disk == u16::MAX).then_some((size, stored, offset))
    })();
    let (size, stored, header_offset) =
        values.ok_or_else(|| broken(format!("the ZIP64 sizes of entry {name:?} are missing")))?;
    if stored != size {
        return Err(broken(format!("entry {name:?} is stored in {stored} bytes but has {size}")));
    }
    Ok((Entry { name: name.to_owned(), header_offset, size, limit: directory.range.start }, len))
}

/// Refuses what is not stored as it is.
fn check_storage(name: &str, flags: u16, method: u16) -> Result<()> {
    if flags & (FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION | FLAG_MASKED_HEADERS) != 0 {
        return Err(Error::unsupported(format!("Entry {name:?} of the checkpoint is encrypted.")));
    }
    if method != 0 {
        return Err(Error::unsupported(format!(
            "Entry {name:?} of the checkpoint is compressed (method {method}); torch.save stores entries as they are."
        )));
    }
    Ok(())
}

/// The 64-bit values of an extra field: only those whose 32-bit twin holds a placeholder are there, in order.
struct Zip64<'a> {
    fields: &'a [u8],
}

impl Zip64<'_> {
    fn resolve(&mut self, small: u32) -> Option<u64> {
        if small != u32::MAX {
            return Some(small.into());
        }
        let value = u64_at(self.fields, 0)?;
        self.fields = &self.fields[8..];
        Some(value)
    }
}

fn zip64_extra(mut extra: &[u8]) -> Option<&[u8]> {
    loop {
        let (id, len) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let field = extra.get(4..4 + len)?;
        if id == 1 {
            return Some(field);
        }
        extra = &extra[4 + len..];
    }
}

/// Where an entry's data most likely begins, without having read its local header: `torch.save` puts data at
/// multiples of 64, and lets only a data descriptor (16 bytes, 24 for ZIP64) follow it.
pub fn likely_data_offset(entry: &Entry) -> Option<u64> {
    let first = entry.header_offset + LOCAL_HEADER_LEN + entry.name.len() as u64;
    let aligned = |descriptor: u64| {
        let start = entry.limit.checked_sub(descriptor + entry.size)?;
        (start % 64 == 0 && (first..first + 128).contains(&start)).then_some(start)
    };
    [16, 24, 0].into_iter().find_map(aligned)
}

/// Where an entry's data begins in the file. `header`: the first [`LOCAL_HEADER_LEN`] bytes of its local header.
///
/// The *local* lengths of name and extra field count; they differ from the directory's.
pub fn local_data_offset(header: &[u8], entry: &Entry) -> Result<u64> {
    let name = &entry.name;
    let fields = || Some((u16_at(header, 6)?, u16_at(header, 8)?, u16_at(header, 26)?, u16_at(header, 28)?));
    let found = fields().filter(|_| header.starts_with(b"PK\x03\x04"));
    let (flags, method, name_len, extra_len) =
        found.ok_or_else(|| broken(format!("entry {name:?} does not begin where its directory says")))?;
    check_storage(name, flags, method)?;
    let start = entry.header_offset + LOCAL_HEADER_LEN + u64::from(name_len) + u64::from(extra_len);
    if start.checked_add(entry.size).is_none_or(|end| end > entry.limit) {
        return Err(broken(format!("entry {name:?} of {} bytes runs into what follows", entry.size)));
    }
    Ok(start)
}
