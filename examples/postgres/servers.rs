//! Finds clips in a collection on one server, or split over several.

use earmark::postgres::Store;
use earmark::search::{Shard, Shards};
use earmark::{Error, Fingerprinter, MatchConfig};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A server that does not answer for so long is left out, or an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that is connected to when it is first needed.
#[derive(Clone)]
struct Server {
    url: String,
    store: Arc<OnceLock<Store>>,
}

impl Server {
    fn store(&self) -> Result<&Store, Error> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Store::connect(&self.url)?;
        Ok(self.store.get_or_init(|| store))
    }
}

pub fn find(urls: Vec<String>, clips: &[PathBuf], partial: bool) -> Result<ExitCode, Error> {
    let servers: Vec<Server> =
        urls.into_iter().map(|url| Server { url, store: Arc::default() }).collect();
    // Not by their URLs, which may have passwords.
    let shards = Shards::new((1..).zip(servers.clone()).map(|(number, server)| {
        Shard::opened_by(format!("server {number}"), move || server.store()?.snapshot())
            .time_limit(PATIENCE)
    }));
    // By the first that can be reached.
    let mut configs = servers.iter().map(|server| server.store()?.config());
    let config = match partial {
        true => configs.clone().find(Result::is_ok).or_else(|| configs.next()),
        false => configs.next(),
    };
    let Some(config) = config.transpose()? else { return Ok(ExitCode::SUCCESS) };
    let mut fingerprinter = Fingerprinter::new(config.as_ref().clone())?;
    let how = MatchConfig::default();
    for path in clips {
        let clip = fingerprinter.query_file(path)?.value;
        let matches = match partial {
            false => shards.search(&clip, &how)?,
            true => {
                let answer = shards.search_available(&clip, &how)?;
                for missing in &answer.missing {
                    eprintln!("not searched: {missing}");
                }
                answer.matches
            }
        };
        match matches.first() {
            Some(found) => println!("{:?}: {:?} at {:.2} s", path, found.name, found.offset_s),
            None => println!("{path:?}: not there"),
        }
    }
    Ok(ExitCode::SUCCESS)
}
