//! Fingerprints and queries of audio files.

use super::query::Clip;
use super::{Fingerprint, Fingerprinter, Query};
use crate::decode::{AudioReader, Decoded};
use crate::error::{Error, Result};
use std::path::Path;

impl Fingerprinter {
    /// The fingerprint of an audio file, together with what is known of the file.
    ///
    /// ```no_run
    /// # use earmark::{Config, Fingerprinter, Index, TrackInfo};
    /// let mut fingerprinter = Fingerprinter::new(Config::default())?;
    /// let index = Index::create("index", Config::default())?;
    /// let track = fingerprinter.fingerprint_file("one.mp3")?;
    /// if !track.report.is_complete() {
    ///     eprintln!("one.mp3: {}", track.report);
    /// }
    /// let mut writer = index.writer()?;
    /// writer.add(TrackInfo { name: "one.mp3".into(), tags: track.info.tags }, &track.value)?;
    /// writer.commit()?;
    /// # Ok::<(), earmark::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`AudioReader::open`], [`AudioReader::next_block`] and [`finish`](Self::finish).
    pub fn fingerprint_file(&mut self, path: impl AsRef<Path>) -> Result<Decoded<Fingerprint>> {
        let mut reader = AudioReader::open(path, &self.config.stft)?;
        let fingerprint = self.fingerprint_audio(&mut reader)?;
        Ok(Decoded::new(fingerprint, &reader))
    }

    /// An audio file as a query, together with what is known of the file.
    ///
    /// ```no_run
    /// # use earmark::{Fingerprinter, Index, MatchConfig};
    /// let index = Index::open("index")?.reader();
    /// let mut fingerprinter = Fingerprinter::new(index.config().clone())?;
    /// let clip = fingerprinter.query_file("clip.wav")?;
    /// println!("{} matches", index.search(&clip.value, &MatchConfig::default())?.len());
    /// # Ok::<(), earmark::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`fingerprint_file`](Self::fingerprint_file).
    pub fn query_file(&mut self, path: impl AsRef<Path>) -> Result<Decoded<Query>> {
        let mut reader = AudioReader::open(path, &self.config.stft)?;
        let query = self.query_audio(&mut reader)?;
        Ok(Decoded::new(query, &reader))
    }

    /// The fingerprint of all that a reader decodes; what it knows of the file and of damage to it
    /// can be asked of it afterwards.
    ///
    /// # Errors
    /// Those of [`AudioReader::next_block`] and of [`finish`](Self::finish); [`Error::Config`] where
    /// the reader was opened for another rate or band than this fingerprinter analyses.
    pub fn fingerprint_audio(&mut self, reader: &mut AudioReader) -> Result<Fingerprint> {
        self.check_reader(reader)?;
        self.reset();
        self.push_audio(reader)?;
        self.finish()
    }

    /// All that a reader decodes, as a query.
    ///
    /// # Errors
    /// [`Error::TooLong`] beyond [`max_query_s`](Self::max_query_s), as soon as so much is read, and
    /// those of [`fingerprint_audio`](Self::fingerprint_audio).
    pub fn query_audio(&mut self, reader: &mut AudioReader) -> Result<Query> {
        self.check_reader(reader)?;
        self.reset();
        self.clip = Some(Clip::new(&self.config.stft, 0));
        self.push_audio(reader)?;
        self.finish_query()
    }

    /// Samples made for another analysis would give another fingerprint under the same id.
    fn check_reader(&self, reader: &AudioReader) -> Result<()> {
        let (here, there) = (&self.config.stft, reader.stft());
        let differs = |field, here: String, there: String| Error::Config {
            field,
            value: format!("{there} in the reader"),
            expected: format!(
                "{here} as here: open the reader with `&fingerprinter.config().stft`"
            ),
        };
        if here.sample_rate != there.sample_rate {
            let [here, there] = [here, there].map(|stft| format!("{} Hz", stft.sample_rate.hz()));
            return Err(differs("stft.sample_rate", here, there));
        }
        if here.max_hz != there.max_hz {
            let [here, there] = [here, there].map(|stft| format!("{} Hz", stft.max_hz));
            return Err(differs("stft.max_hz", here, there));
        }
        Ok(())
    }

    fn push_audio(&mut self, reader: &mut AudioReader) -> Result<()> {
        while let Some(block) = reader.next_block()? {
            self.push(block, self.config.stft.sample_rate);
            if self.clip.is_some() {
                self.check_length(self.config.stft.sample_rate.seconds(self.samples))?;
            }
        }
        Ok(())
    }
}
