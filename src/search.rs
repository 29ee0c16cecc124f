//! From a query to matches, in the order of the data: candidates, places, evidence, strength, decision,
//! ranking.
//!
//! 1. [`candidates`](candidates()): landmarks vote for stretches of the collection. Where in them the
//!    clip may begin is found from the track's peaks.
//! 2. The [evidence](crate::evidence) of peaks is weighed at each place, and refined for the stronger
//!    ones. Bands, phases and missing peaks are added for the strongest. All of it becomes one strength.
//! 3. [`find`] ends here: what one store holds is [found](Findings), not decided.
//! 4. [`decide`] turns strengths into [false alarms](Match::false_alarms), of one store or of many, and
//!    drops what repeats a better match. [`Shards`] does both for a collection in several stores.
//!
//! A clear clip is found by its strongest peaks alone. All landmarks are looked up only where these give
//! no certain answer. Where a range of speeds is given, the clip's coordinates are changed as if it had
//! been played otherwise, and the same is done again.

mod alignment;
mod candidates;
mod config;
mod decision;
mod explain;
mod find;
mod findings;
mod joined;
mod ladder;
mod law;
mod matches;
mod places;
mod playback;
mod ranking;
mod shards;
mod strength;
mod tuning;

#[cfg(feature = "library")]
pub(crate) use candidates::rarest;
pub use candidates::{Candidate, candidates};
pub use config::{MatchConfig, SpeedRange, TrackFilter};
pub use decision::decide;
pub use explain::{Explanation, Outcome, Place, explain, weigh_place, weighed_places};
pub use find::find;
#[cfg(feature = "library")]
pub(crate) use find::find_placed;
pub use findings::Findings;
pub use joined::{Joined, search_fingerprint};
pub use law::Law;
pub use matches::{Match, Span};
pub use shards::{Answer, Missing, Shard, Shards};
pub use strength::{coherence_of, strength_of};

use crate::error::Result;
use crate::fingerprint::Query;
use crate::store::Store;
pub(crate) use alignment::{Alignment, LEAD, first_bin, on_clip};
pub(crate) use findings::PlacedPeak;
pub(crate) use places::excerpt_under;
pub(crate) use playback::Playback;
pub(crate) use ranking::share_of;
pub(crate) use strength::Verified;

/// Finds where a clip comes from, best match first: [`find`], then [`decide`].
///
/// With a smaller [`max_matches`](MatchConfig::max_matches) or
/// [`max_false_alarms`](MatchConfig::max_false_alarms), the matches are the first of those with a
/// larger one.
///
/// # Errors
/// Those of [`find`].
pub fn search(
    store: &(impl Store + ?Sized),
    query: &Query,
    config: &MatchConfig,
) -> Result<Vec<Match>> {
    decide(&[find(store, query, config)?], config)
}
