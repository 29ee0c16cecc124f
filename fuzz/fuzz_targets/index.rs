//! Indexes that say anything, with checksums that are right: nothing may panic, hang or take memory.
//!
//! ```text
//! cargo +nightly fuzz run index
//! ```
//!
//! The input is a list of changes to the files of a small index, four bytes each: which file, where (two
//! bytes), and what stands there then.
#![no_main]

use earmark::store::{Index, Merging, OpenOptions, Store, conformance};
use earmark::{Config, TrackId};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use xxhash_rust::xxh3::xxh3_64;

const PAGE_BYTES: usize = 4096;
const FOOTER_BYTES: usize = 168;

/// The manifest and two segments.
static FILES: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let options = OpenOptions::new().merging(Merging::ByHand);
    let index = options.create(&path, Config::default()).unwrap();
    let mut writer = index.writer().unwrap();
    for (info, fingerprint) in conformance::recordings(&Config::default(), 2, 11) {
        writer.add(info, &fingerprint).unwrap();
        writer.commit().unwrap();
    }
    ["manifest", "00000000.seg", "00000001.seg"].map(|name| std::fs::read(path.join(name)).unwrap())
});

/// Makes all checksums of a segment right, as `FORMAT.md` says.
fn reseal(bytes: &mut [u8]) {
    let (rest, footer) = bytes.split_at_mut(bytes.len() - FOOTER_BYTES);
    let checksum = xxh3_64(&footer[..FOOTER_BYTES - 8]);
    footer[FOOTER_BYTES - 8..].copy_from_slice(&checksum.to_le_bytes());
    let pages = (1..).find(|pages| rest.len() <= pages * (PAGE_BYTES + 8)).unwrap();
    let (data, checks) = rest.split_at_mut(rest.len() - 8 * pages);
    for (page, (bytes, check)) in data.chunks(PAGE_BYTES).zip(checks.chunks_mut(8)).enumerate() {
        let place = (page as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        check.copy_from_slice(&xxh3_64(bytes).wrapping_add(place).to_le_bytes());
    }
}

fuzz_target!(|input: &[u8]| {
    let mut files = FILES.clone();
    for change in input.chunks_exact(4) {
        let file = &mut files[usize::from(change[0]) % 3];
        let at = usize::from(u16::from_le_bytes([change[1], change[2]])) % file.len();
        // From the end, where the footer is, as often as from the beginning.
        let at = if change[0] & 0x80 == 0 { at } else { file.len() - 1 - at };
        file[at] = change[3];
    }
    let [manifest, segments @ ..] = &mut files;
    segments.iter_mut().for_each(|segment| reseal(segment));
    let end = manifest.len() - 8;
    let checksum = xxh3_64(&manifest[..end]);
    manifest[end..].copy_from_slice(&checksum.to_le_bytes());
    let fetch = |name: &str| Ok(segments[usize::from(name.starts_with("00000001"))].clone());
    let Ok(index) = OpenOptions::new().skip_damaged(true).open_with(manifest, fetch) else { return };
    use_all(&index);
});

fn use_all(index: &Index) {
    let reader = index.reader();
    let Ok(totals) = reader.totals() else { return };
    let tracks: Vec<_> = reader.tracks().flatten().collect();
    for track in tracks.iter().take(10) {
        let _ = (reader.find(&track.name), reader.fingerprint(track.id));
    }
    let hashes: Vec<_> = (0..64).map(|i| earmark::landmark::LandmarkHash(i << 19 | 12_345)).collect();
    let _ = reader.postings(&hashes).map(|lists| lists.iter().map(|l| l.blocks().count()).sum::<usize>());
    let _ = reader.excerpts(&[0..totals.blocks, 1..2]);
    let _ = (reader.verify(), reader.list_lengths());
    let Ok(mut writer) = index.writer() else { return };
    let _ = writer.remove(TrackId(0));
    let _ = writer.compact();
}
