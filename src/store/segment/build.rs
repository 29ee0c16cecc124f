//! Makes a segment of fingerprints.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::landmark::hash_bits;
use crate::packing::make_room;
use crate::store::block::BlockCoder;
#[cfg(feature = "postgres")]
use crate::store::segment::Placed;
use crate::store::segment::layout::{FooterRecord, GROUP_BLOCKS, NameRecord, TrackRecord};
use crate::store::segment::name_hash;
use crate::store::segment::slots::key;
use crate::store::segment::writing::{PostingsWriter, SegmentWriter};
use crate::store::snapshot::counted_s;
use crate::store::varint;
use crate::tags::TrackInfo;
use crate::units::TrackId;
#[cfg(feature = "parallel")]
use rayon::slice::ParallelSliceMut;
use std::io::{self, Write};
use std::path::PathBuf;
use zerocopy::IntoBytes;

/// Tracks that are to become a segment.
#[derive(Debug)]
pub(crate) struct SegmentBuilder {
    config: Config,
    coder: BlockCoder,
    tracks: Vec<TrackRecord>,
    names: Vec<NameRecord>,
    text: Vec<u8>,
    lengths: Vec<u16>,
    features: Vec<u8>,
    /// The hash's key, and below it the block.
    postings: Vec<u64>,
    /// Gives the key of a hash of so many bits.
    key: fn(u32, u32) -> u32,
    frames: u64,
    duration_s: f64,
}

impl SegmentBuilder {
    pub fn new(config: &Config) -> Self {
        Self::with_keys(config, key)
    }

    /// Of postings in an order of the caller's.
    pub fn with_keys(config: &Config, key: fn(u32, u32) -> u32) -> Self {
        Self {
            config: config.clone(),
            coder: BlockCoder::new(config),
            tracks: Vec::new(),
            names: Vec::new(),
            text: Vec::new(),
            lengths: Vec::new(),
            features: Vec::new(),
            postings: Vec::new(),
            key,
            frames: 0,
            duration_s: 0.0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    pub fn blocks(&self) -> u32 {
        self.lengths.len() as u32
    }

    pub fn tracks(&self) -> u32 {
        self.tracks.len() as u32
    }

    /// Memory that it takes up.
    pub fn memory_bytes(&self) -> usize {
        self.tracks.capacity() * size_of::<TrackRecord>()
            + self.names.capacity() * size_of::<NameRecord>()
            + self.text.capacity()
            + self.lengths.capacity() * 2
            + self.features.capacity()
            + self.postings.capacity() * 8
    }

    /// Adds a track, whose id must be above those before.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for peaks that no picker gives, [`Error::IndexFull`] where blocks cannot be
    /// counted. Nothing is changed then.
    pub fn add(&mut self, id: TrackId, info: &TrackInfo, fingerprint: &Fingerprint) -> Result<()> {
        let (first_block, features) = (self.blocks(), self.features.len());
        let peaks = fingerprint.peaks();
        let last = peaks.iter().map(|p| p.time.whole_frame()).max();
        let frames = last.map_or(0, |last| last + 2);
        let words = u32::try_from(fingerprint.sub_fingerprints().len());
        let words = words.map_err(|_| Error::IndexFull)?;
        let blocks = self.coder.blocks(frames, words);
        first_block.checked_add(blocks).ok_or(Error::IndexFull)?;
        let encoded = self.encode(blocks, fingerprint);
        if encoded.is_none() {
            self.lengths.truncate(first_block as usize);
            self.features.truncate(features);
            return Err(fingerprint.corrupt("its peaks are closer than peaks can be"));
        }
        let bits = hash_bits(&self.config.stft);
        make_room(&mut self.postings, fingerprint.landmarks().len());
        for landmark in fingerprint.landmarks() {
            let frame = landmark.time.nearest_frame();
            let block = first_block + (frame / self.coder.frames()).min(blocks - 1);
            let hash = landmark.hash(&self.config.landmarks);
            self.postings.push(u64::from((self.key)(hash.0, bits)) << 32 | u64::from(block));
        }
        self.names.push(NameRecord {
            hash: name_hash(&info.name).into(),
            number: (self.tracks.len() as u32).into(),
        });
        self.tracks.push(TrackRecord {
            id: id.0.into(),
            first_block: first_block.into(),
            frames: frames.into(),
            words: words.into(),
            duration_s: fingerprint.duration_s().into(),
            text_at: (self.text.len() as u64).into(),
        });
        let tags = &info.tags;
        let number = tags.track_number.map(|number| number.to_string());
        let name = Some(info.name.clone());
        let mut texts = vec![&name, &tags.title, &tags.artist, &tags.album];
        let more = [&number, &tags.isrc, &tags.musicbrainz_id];
        if more.iter().any(|text| text.is_some()) {
            texts.extend(more);
        }
        for text in texts {
            // Longer ones were refused.
            varint::put(&mut self.text, text.as_ref().map_or(0, |text| text.len() as u32 + 1));
            self.text.extend_from_slice(text.as_deref().unwrap_or_default().as_bytes());
        }
        self.frames += u64::from(frames);
        self.duration_s += counted_s(fingerprint.duration_s());
        Ok(())
    }

    /// Appends the features of all blocks of a track.
    fn encode(&mut self, blocks: u32, fingerprint: &Fingerprint) -> Option<()> {
        let mut peaks = fingerprint.peaks();
        let mut words = fingerprint.sub_fingerprints();
        make_room(&mut self.features, 5 * peaks.len() + 8 * words.len() + 6 * blocks as usize);
        for block in 0..blocks {
            let (here, later) =
                peaks.split_at(peaks.partition_point(|p| self.coder.block(p) <= block));
            let (of_block, after) = words.split_at(words.len().min(self.coder.words() as usize));
            let begin = self.features.len();
            self.coder.encode(block, here, of_block, &mut self.features)?;
            self.lengths.push((self.features.len() - begin) as u16);
            (peaks, words) = (later, after);
        }
        Some(())
    }

    /// Writes the segment. The tracks stay, until they are [cleared](Self::clear).
    ///
    /// # Errors
    /// [`Error::Io`] with an empty path.
    pub fn write(&mut self, out: impl Write) -> Result<()> {
        self.write_sections(out).map_err(|source| Error::Io {
            action: "write",
            path: PathBuf::new(),
            source,
        })
    }

    /// The tracks in their order.
    #[cfg(feature = "postgres")]
    pub fn placed(&self) -> impl Iterator<Item = Placed> {
        let end = end_record(self.blocks(), self.text.len() as u64);
        let next = self.tracks.iter().skip(1).copied().chain([end]);
        self.tracks.iter().zip(next).map(|(this, next)| Placed {
            id: TrackId(this.id.get()),
            blocks: (this.first_block.get(), next.first_block.get()),
            frames: this.frames.get(),
            words: this.words.get(),
            duration_s: this.duration_s.get(),
            text: (this.text_at.get(), next.text_at.get()),
        })
    }

    /// The lengths of all blocks' features, and these.
    #[cfg(feature = "postgres")]
    pub fn features(&self) -> (&[u16], &[u8]) {
        (&self.lengths, &self.features)
    }

    #[cfg(feature = "postgres")]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    #[cfg(feature = "postgres")]
    pub fn duration_s(&self) -> f64 {
        self.duration_s
    }

    /// Puts the postings in order, and gives the number of hashes.
    pub fn sort_postings(&mut self) -> u64 {
        #[cfg(feature = "parallel")]
        self.postings.par_sort_unstable();
        #[cfg(not(feature = "parallel"))]
        self.postings.sort_unstable();
        self.postings.dedup();
        self.postings.chunk_by(same_key).count() as u64
    }

    /// Calls `each` with each key and its blocks, once postings are in order.
    pub fn each_list<E>(
        &self,
        mut each: impl FnMut(u32, &[u32]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut blocks = Vec::new();
        for list in self.postings.chunk_by(same_key) {
            blocks.clear();
            blocks.extend(list.iter().map(|&posting| posting as u32));
            each((list[0] >> 32) as u32, &blocks)?;
        }
        Ok(())
    }

    fn write_sections<W: Write>(&mut self, out: W) -> io::Result<()> {
        let mut out = SegmentWriter::new(out)?;
        let ids = [self.tracks.first(), self.tracks.last()].map(|t| t.map_or(0, |t| t.id.get()));
        out.put(self.tracks.as_bytes())?;
        out.put(end_record(self.blocks(), self.text.len() as u64).as_bytes())?;
        out.next_section();
        out.put(&self.text)?;
        out.next_section();
        self.names.sort_unstable_by_key(|name| (name.hash.get(), name.number.get()));
        out.put(self.names.as_bytes())?;
        out.next_section();
        let mut at = 0u64;
        for (i, &length) in self.lengths.iter().enumerate() {
            if i % GROUP_BLOCKS == 0 {
                out.put(&at.to_le_bytes())?;
            }
            at += u64::from(length);
        }
        if self.lengths.len().is_multiple_of(GROUP_BLOCKS) {
            out.put(&at.to_le_bytes())?;
        }
        out.next_section();
        for length in &self.lengths {
            out.put(&length.to_le_bytes())?;
        }
        out.next_section();
        out.put(&self.features)?;
        out.next_section();
        let hashes = self.sort_postings();
        let count = self.postings.len() as u64;
        let mut postings =
            PostingsWriter::new(self.blocks(), hash_bits(&self.config.stft), hashes, count);
        self.each_list(|key, blocks| postings.put(key, blocks, &mut out))?;
        postings.finish(&mut out)?;
        let mut footer = FooterRecord {
            config_id: self.config.id().0.into(),
            tracks: self.tracks().into(),
            blocks: self.blocks().into(),
            first_id: ids[0].into(),
            last_id: ids[1].into(),
            frames: self.frames.into(),
            duration_s: self.duration_s.into(),
            ..FooterRecord::default()
        };
        postings.tell(&mut footer);
        out.finish(footer)
    }

    /// Begins another segment, and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::with_keys(&self.config, self.key);
    }
}

fn same_key(a: &u64, b: &u64) -> bool {
    a >> 32 == b >> 32
}

/// What stands after the last track.
pub(super) fn end_record(blocks: u32, text_bytes: u64) -> TrackRecord {
    TrackRecord {
        id: u32::MAX.into(),
        first_block: blocks.into(),
        frames: 0.into(),
        words: 0.into(),
        duration_s: 0.0.into(),
        text_at: text_bytes.into(),
    }
}
