//! Ctrl-C, and the signal that ends programs: the first asks for an end, the second is one.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Listens for signals.
#[derive(Default)]
pub struct Interruption {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Interruption {
    /// From now on, the first signal does no more than to be noted.
    ///
    /// # Errors
    /// Those of the system.
    pub fn listen() -> io::Result<Self> {
        let interruption = Self::default();
        for signal in [SIGINT, SIGTERM] {
            let asked = || Arc::clone(&interruption.asked);
            // Before it is noted, so that the second signal ends the program.
            flag::register_conditional_shutdown(signal, 128 + signal, asked())?;
            flag::register_usize(signal, Arc::clone(&interruption.signal), signal as usize)?;
            flag::register(signal, asked())?;
        }
        Ok(interruption)
    }

    /// Whether there was a signal.
    pub fn asked(&self) -> &AtomicBool {
        &self.asked
    }

    /// What programs exit with that were ended so: 130 after Ctrl-C.
    pub fn exit_code(&self) -> u8 {
        128 + self.signal.load(Ordering::SeqCst) as u8
    }
}
