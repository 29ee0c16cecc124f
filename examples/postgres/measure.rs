//! The same clips in PostgreSQL and in an index.

use earmark::postgres::Store;
use earmark::{Error, Fingerprinter, Index, MatchConfig, Query};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Milliseconds of a search, and what was found.
struct Timed {
    ms: f64,
    told: String,
    found: bool,
}

pub fn measure(url: &str, index: &Path, list: &Path, clients: usize) -> Result<ExitCode, Error> {
    let reader = Index::open(index)?.reader();
    let store = Store::connect(url)?;
    let config = MatchConfig::default();
    let read = std::fs::read_to_string(list).map_err(Error::Read)?;
    let mut fingerprinter = Fingerprinter::new(reader.config().clone())?;
    let mut clips = Vec::new();
    for path in read.lines() {
        // Silence is no clip.
        if let Ok(clip) = fingerprinter.query_file(path) {
            clips.push(clip.value);
        }
    }
    let timed = |clip: &Query, search: &dyn Fn(&Query) -> Result<Vec<earmark::Match>, Error>| {
        let begun = Instant::now();
        let matches = search(clip)?;
        let ms = 1e3 * begun.elapsed().as_secs_f64();
        Ok::<_, Error>(Timed { ms, found: !matches.is_empty(), told: format!("{matches:?}") })
    };
    // Once to warm both up.
    let (mut here, mut there) = (Vec::new(), Vec::new());
    let mut traffic = Vec::new();
    let traffic_now = || {
        let traffic = store.traffic();
        [traffic.round_trips(), traffic.rows(), traffic.bytes()]
    };
    for round in 0..2 {
        for clip in &clips {
            let on_disk = timed(clip, &|clip| reader.search(clip, &config))?;
            let before = traffic_now();
            let in_database = timed(clip, &|clip| store.search(clip, &config))?;
            let after = traffic_now();
            if round == 1 {
                here.push(on_disk);
                there.push(in_database);
                traffic.push([0, 1, 2].map(|i| after[i] - before[i]));
            }
        }
    }
    let differing = here.iter().zip(&there).filter(|(a, b)| a.told != b.told).count();
    println!("{} clips, {differing} with other answers than the index", clips.len());
    // A clear clip is one that needs no second look.
    let clear: Vec<bool> = traffic.iter().zip(&there).map(|(t, b)| b.found && t[0] == 2).collect();
    let table = |name: &str, wanted: &dyn Fn(usize) -> bool| {
        let of: Vec<usize> = (0..clips.len()).filter(|&i| wanted(i)).collect();
        let (a, b) = (of.iter().map(|&i| here[i].ms), of.iter().map(|&i| there[i].ms));
        let [a, b] = [median(a.collect()), median(b.collect())];
        let [trips, rows, bytes] =
            [0, 1, 2].map(|k| median(of.iter().map(|&i| traffic[i][k] as f64).collect()));
        println!(
            "{name}: {} clips, index {a:.2} ms, PostgreSQL {b:.2} ms, {:.2} times; {trips} round trips, {rows} rows, {bytes} bytes",
            of.len(),
            b / a
        );
    };
    table("clear", &|i| clear[i]);
    table("others", &|i| !clear[i]);
    table("all", &|_| true);
    if clients > 1 {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..clients)
                .map(|first| {
                    let (store, clips, config) = (store.clone(), &clips, &config);
                    scope.spawn(move || {
                        clips
                            .iter()
                            .skip(first)
                            .step_by(clients)
                            .try_for_each(|clip| store.search(clip, config).map(drop))
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
        })?;
        let seconds = begun.elapsed().as_secs_f64();
        println!("{clients} clients: {:.0} searches a second", clips.len() as f64 / seconds);
    }
    Ok(ExitCode::SUCCESS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
