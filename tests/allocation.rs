//! Memory: nothing is allocated per frame, and what a long signal takes is bounded by its peaks.

mod common;

use common::*;
use earmark::Fingerprinter;
use earmark::monitor::{Monitor, MonitorConfig};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts for each thread by itself, as tests run side by side.
struct Counting;

#[derive(Clone, Copy, Default)]
struct Counts {
    allocations: u64,
    live_bytes: i64,
    peak_bytes: i64,
}

thread_local! {
    static COUNTS: Cell<Counts> =
        const { Cell::new(Counts { allocations: 0, live_bytes: 0, peak_bytes: 0 }) };
}

fn count(allocations: u64, bytes: i64) {
    // A thread that ends may free what it has after its locals are gone.
    let _ = COUNTS.try_with(|counts| {
        let mut c = counts.get();
        c.allocations += allocations;
        c.live_bytes += bytes;
        c.peak_bytes = c.peak_bytes.max(c.live_bytes);
        counts.set(c);
    });
}

// SAFETY: all is left to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // What grows may be copied, so that old and new are both there for a moment.
        let (old, new) = (layout.size() as i64, new_size as i64);
        if new > old {
            count(1, new);
            count(0, -old);
        } else {
            count(1, new - old);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations made, and bytes held at most beyond those held before, while `work` runs.
fn measure<T>(work: impl FnOnce() -> T) -> (u64, i64, T) {
    let before = COUNTS.get();
    COUNTS.set(Counts { peak_bytes: before.live_bytes, ..before });
    let result = work();
    let after = COUNTS.get();
    (after.allocations - before.allocations, after.peak_bytes - before.live_bytes, result)
}

/// Half a minute that is pushed again and again, each time from elsewhere, so that it does not
/// simply repeat.
struct Endless {
    samples: Vec<f32>,
    rate_hz: usize,
    round: usize,
}

impl Endless {
    fn new(rate_hz: usize) -> Self {
        Self { samples: music_at(rate_hz, 30.0, 77), rate_hz, round: 0 }
    }

    /// Pushes so many seconds in pieces of 1,000 samples, without allocating.
    fn push(&mut self, fingerprinter: &mut Fingerprinter, seconds: usize) {
        let mut left = seconds * self.rate_hz;
        while left > 0 {
            self.round += 1;
            let from = self.round * 7_919 % (self.samples.len() / 2);
            let rest = &self.samples[from..];
            for piece in rest[..rest.len().min(left)].chunks(1_000) {
                fingerprinter.push(piece, rate(self.rate_hz));
                left -= piece.len();
            }
        }
    }
}

/// What a stream holds does not grow with it, whatever plays.
#[test]
fn a_monitor_keeps_no_more_however_long_it_listens() {
    let songs = [music(60.0, 1), music(60.0, 2)];
    let reader = index_of(&[("a", &songs[0]), ("b", &songs[1])]).reader();
    let mut config = MonitorConfig::default();
    config.step_s = 5.0;
    let mut monitor = Monitor::new(&reader, config).unwrap();
    // A song that is known, then one that is not.
    let part = [cut(&songs[0], 5.0, 45.0), &music(35.0, 9)[..], cut(&songs[1], 0.0, 45.0)].concat();
    let mut round = || {
        let pieces = part.chunks(8000);
        measure(|| pieces.for_each(|piece| drop(monitor.push(piece, rate(RATE_HZ)).unwrap()))).1
    };
    let (first, second, third) = (round(), round(), round());
    println!("{first} bytes, then {second} and {third} more");
    assert!(first < 40 << 20, "{first} bytes");
    assert!(second < first / 4 && third < first / 4, "{first} {second} {third}");
}

#[test]
fn nothing_is_allocated_per_frame() {
    for rate_hz in [RATE_HZ, 44_100, 48_000] {
        let mut endless = Endless::new(rate_hz);
        let mut fingerprinter = fingerprinter();
        // Twice, for the list of peaks keeps its room from one signal to the next.
        for _ in 0..2 {
            endless.push(&mut fingerprinter, 90);
            fingerprinter.finish().unwrap();
        }
        let (warm, ..) = measure(|| endless.push(&mut fingerprinter, 60));
        assert_eq!(warm, 0, "allocations at {rate_hz} Hz");
        // From here on the list of peaks outgrows what it ever held: it doubles.
        let (growing, ..) = measure(|| endless.push(&mut fingerprinter, 200));
        println!("{growing} allocations in 200 s at {rate_hz} Hz");
        assert!(growing <= 3, "{growing} allocations at {rate_hz} Hz");
    }
}

#[test]
fn one_fingerprinter_for_many_files_allocates_only_results() {
    let clip = music(10.0, 4);
    let mut fingerprinter = fingerprinter();
    fingerprinter.fingerprint(&clip, rate(RATE_HZ)).unwrap();
    let (allocations, ..) = measure(|| fingerprinter.fingerprint(&clip, rate(RATE_HZ)).unwrap());
    println!("{allocations} allocations for the fingerprint of 10 s");
    // Peaks, landmarks, their pairing, and the name of the configuration.
    assert!(allocations <= 30, "{allocations}");
}

#[test]
fn a_stream_after_a_failed_query_keeps_no_spectrogram() {
    let mut endless = Endless::new(RATE_HZ);
    let mut fingerprinter = fingerprinter();
    fingerprinter.query(&vec![0.0; 20_000], rate(RATE_HZ)).unwrap_err();
    let (_, held, _) = measure(|| endless.push(&mut fingerprinter, 120));
    assert!(held < 1 << 20, "{held} bytes for two minutes");
}

/// Greatest number of bytes held while so many seconds are fingerprinted, the result included, and
/// the number of its peaks.
fn peak_heap(seconds: usize) -> (i64, usize) {
    let mut endless = Endless::new(RATE_HZ);
    let mut fingerprinter = fingerprinter();
    let (_, bytes, peaks) = measure(|| {
        endless.push(&mut fingerprinter, seconds);
        fingerprinter.finish().unwrap().peaks().len()
    });
    println!("{seconds} s: {:.2} MB at most, {peaks} peaks", bytes as f64 / 1e6);
    (bytes, peaks)
}

/// What a query takes per second of the clip; what is transient is a second's worth or two.
#[test]
fn a_query_takes_240_kb_a_second() {
    let song = music_at(RATE_HZ, 30.0, 77);
    for seconds in [10_usize, 60, 240] {
        let samples = song.repeat(seconds.div_ceil(30));
        let samples = &samples[..seconds * RATE_HZ];
        let mut fingerprinter = fingerprinter();
        fingerprinter.query(&samples[..5 * RATE_HZ], rate(RATE_HZ)).unwrap();
        let (_, most, query) = measure(|| fingerprinter.query(samples, rate(RATE_HZ)).unwrap());
        let (_, _, held) = measure(|| {
            let before = COUNTS.get().live_bytes;
            drop(query);
            before - COUNTS.get().live_bytes
        });
        let per_second = |bytes: i64| bytes as f64 / seconds as f64 / 1e3;
        println!("{seconds} s: {:.1} kB/s, {:.1} at most", per_second(held), per_second(most));
        assert!(per_second(held) <= 245.0, "{seconds} s: {:.1} kB/s", per_second(held));
        assert!(most <= 1_200_000 + seconds as i64 * 240_000, "{seconds} s: {most} bytes at most");
    }
}

/// The frames of an hour would take 400 MB.
#[test]
fn memory_grows_with_the_peaks_alone() {
    let (minutes, _) = peak_heap(240);
    let (longer, _) = peak_heap(1_440);
    // 40 MB for four hours, in proportion.
    let allowed = 40_000_000 * 1_440 / 14_400;
    assert!(longer - minutes <= allowed, "{longer} bytes for 24 minutes, {minutes} for 4");
}

#[test]
#[ignore = "four hours of audio take ten seconds and more"]
fn four_hours_take_no_more_than_40_mb_beyond_four_minutes() {
    let (minutes, _) = peak_heap(240);
    let (hours, _) = peak_heap(14_400);
    assert!(hours - minutes <= 40_000_000, "{hours} bytes for 4 hours, {minutes} for 4 minutes");
}
