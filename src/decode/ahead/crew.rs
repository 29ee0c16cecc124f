//! The threads that decode runs.

use super::super::link::Recipe;
use super::super::source::lock;
use super::run::{Run, Start};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use symphonia::core::codecs::audio::AudioDecoder;

/// A run that was handed in.
enum Place {
    Waiting(Box<Run>),
    Taken,
    Done(Box<Run>),
}

#[derive(Default)]
struct State {
    runs: VecDeque<Place>,
    /// So many runs were taken out since the beginning.
    gone: usize,
    /// The decoder for the next run of a chain.
    chain: Option<Box<dyn AudioDecoder>>,
    ended: bool,
}

impl State {
    /// The first run that can be decoded now, by its number.
    fn take(&mut self) -> Option<(usize, Box<Run>)> {
        let chain = self.chain.is_some();
        let ready = |place: &Place| match place {
            Place::Waiting(run) => match run.start {
                Start::Turn => false,
                Start::Chain => chain,
                Start::Apart(_) => true,
            },
            Place::Taken | Place::Done(_) => false,
        };
        let n = self.runs.iter().position(ready)?;
        match std::mem::replace(&mut self.runs[n], Place::Taken) {
            Place::Waiting(mut run) => {
                if matches!(run.start, Start::Chain) {
                    run.decoder = self.chain.take();
                }
                Some((self.gone + n, run))
            }
            Place::Taken | Place::Done(_) => None,
        }
    }
}

pub(super) struct Shared {
    recipe: Arc<Recipe>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    /// Decodes a run that was taken.
    fn decode(&self, number: usize, mut run: Box<Run>) {
        match run.decoder.take() {
            Some(decoder) => run.decode(decoder, self.recipe.flac_channels),
            None => run.decode_apart(&self.recipe),
        }
        let mut state = lock(&self.state);
        if matches!(run.start, Start::Chain) && run.is_complete() {
            state.chain = run.decoder.take();
        }
        let place = number.checked_sub(state.gone);
        if let Some(place) = place.and_then(|place| state.runs.get_mut(place)) {
            *place = Place::Done(run);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Decodes until it is over.
    fn help(&self) {
        loop {
            let mut taken = None;
            let none_yet = |state: &mut State| {
                taken = if state.ended { None } else { state.take() };
                taken.is_none() && !state.ended
            };
            let waited = self.changed.wait_while(lock(&self.state), none_yet);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            match taken {
                Some((number, run)) => self.decode(number, run),
                None => return,
            }
        }
    }
}

/// Runs in order, and threads that decode them. The threads end soon after it is dropped; they are not
/// waited for, since a decoder may never come back.
pub(super) struct Crew {
    pub(super) shared: Arc<Shared>,
    threads: usize,
}

impl Crew {
    pub(super) fn new(recipe: &Arc<Recipe>) -> Self {
        let (recipe, state, changed) = (Arc::clone(recipe), Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { recipe, state, changed }), threads: 0 }
    }

    /// Makes threads until there are so many. Without them the one that asks decodes.
    pub(super) fn hire(&mut self, threads: usize) {
        while self.threads < threads {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name("earmark decoder".into());
            if thread.spawn(move || shared.help()).is_err() {
                return;
            }
            self.threads += 1;
        }
    }

    /// Number of runs that were not taken out.
    pub(super) fn runs(&self) -> usize {
        lock(&self.shared.state).runs.len()
    }

    pub(super) fn hand_in(&self, run: Run) {
        lock(&self.shared.state).runs.push_back(Place::Waiting(Box::new(run)));
        self.shared.changed.notify_all();
    }

    /// Sets the decoder for the next run of a chain.
    pub(super) fn set_chain(&self, decoder: Option<Box<dyn AudioDecoder>>) {
        lock(&self.shared.state).chain = decoder;
        self.shared.changed.notify_all();
    }

    pub(super) fn take_chain(&self) -> Option<Box<dyn AudioDecoder>> {
        lock(&self.shared.state).chain.take()
    }

    /// Takes out the first run, once it is decoded or its turn to be. Decodes others meanwhile.
    pub(super) fn first(&self) -> Option<Box<Run>> {
        loop {
            let mut state = lock(&self.shared.state);
            let there = match state.runs.front()? {
                Place::Waiting(run) => matches!(run.start, Start::Turn),
                Place::Taken => false,
                Place::Done(_) => true,
            };
            if there {
                state.gone += 1;
                match state.runs.pop_front()? {
                    Place::Waiting(run) | Place::Done(run) => return Some(run),
                    Place::Taken => continue,
                }
            }
            match state.take() {
                Some((number, run)) => {
                    drop(state);
                    self.shared.decode(number, run);
                }
                None => drop(self.shared.changed.wait(state)),
            }
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.ended = true;
        state.runs.clear();
        state.chain = None;
        drop(state);
        self.shared.changed.notify_all();
    }
}
