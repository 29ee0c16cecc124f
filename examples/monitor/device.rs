//! A microphone, or what else the sound system takes sound from.

use crate::input::Piece;
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{FromSample, Sample, SampleFormat, SizedSample, Stream, StreamConfig};
use earmark::SampleRate;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Blocks that wait at most: some seconds.
const WAITING: usize = 1024;

/// Begins to record from the device that has this in its name, or from the default one (`default`). It
/// records until the stream that comes with the pieces is dropped.
///
/// # Errors
/// There is no such device, or it gives no sound.
pub fn start(name: &str) -> Result<(Stream, Receiver<Piece>), String> {
    let host = cpal::default_host();
    let named = |device: &cpal::Device| {
        device.description().map_or_else(|_| String::new(), |description| description.to_string())
    };
    let device = if name == "default" {
        host.default_input_device().ok_or("there is no device to record from")?
    } else {
        let devices: Vec<cpal::Device> = host.input_devices().map_err(|e| e.to_string())?.collect();
        let names: Vec<String> = devices.iter().map(named).collect();
        devices
            .into_iter()
            .find(|device| named(device).contains(name))
            .ok_or_else(|| format!("no device is named {name:?}; there are {}", names.join(", ")))?
    };
    let supported = device.default_input_config().map_err(|e| e.to_string())?;
    let format = supported.sample_format();
    let rate = SampleRate::new(supported.sample_rate()).map_err(|e| e.to_string())?;
    let channels = usize::from(supported.channels()).max(1);
    let config: StreamConfig = supported.into();
    let (sender, receiver) = sync_channel(WAITING);
    let recorder = Recorder { sender, rate, channels, lost: 0 };
    let stream = match format {
        SampleFormat::I8 => recorder.record::<i8>(&device, config),
        SampleFormat::U8 => recorder.record::<u8>(&device, config),
        SampleFormat::I16 => recorder.record::<i16>(&device, config),
        SampleFormat::U16 => recorder.record::<u16>(&device, config),
        SampleFormat::I32 => recorder.record::<i32>(&device, config),
        SampleFormat::F32 => recorder.record::<f32>(&device, config),
        SampleFormat::F64 => recorder.record::<f64>(&device, config),
        other => {
            return Err(format!("the device gives samples of type {other}, which are not read"));
        }
    }?;
    stream.play().map_err(|e| e.to_string())?;
    Ok((stream, receiver))
}

struct Recorder {
    sender: SyncSender<Piece>,
    rate: SampleRate,
    channels: usize,
    /// Samples that nobody took in time, and of which nobody was told yet.
    lost: usize,
}

impl Recorder {
    fn record<T: SizedSample>(
        mut self,
        device: &cpal::Device,
        config: StreamConfig,
    ) -> Result<Stream, String>
    where
        f32: FromSample<T>,
    {
        let failed = self.sender.clone();
        let stream = device.build_input_stream(
            config,
            move |samples: &[T], _: &_| self.take(samples),
            // If nobody has room for it, nobody is listening.
            move |e: cpal::Error| drop(failed.try_send(Piece::Trouble(e.to_string()))),
            None,
        );
        stream.map_err(|e| e.to_string())
    }

    /// Hands samples on, as one channel. This must not wait.
    fn take<T: SizedSample>(&mut self, samples: &[T])
    where
        f32: FromSample<T>,
    {
        if self.lost > 0 {
            let seconds = self.rate.seconds(self.lost as u64);
            let trouble = format!("{seconds:.1} s were lost: the program could not keep up");
            if self.sender.try_send(Piece::Trouble(trouble)).is_ok() {
                self.lost = 0;
            }
        }
        let frames = samples.chunks_exact(self.channels);
        let mono = |frame: &[T]| {
            let sum: f32 = frame.iter().map(|&sample| f32::from_sample(sample)).sum();
            sum / self.channels as f32
        };
        let mono: Vec<f32> = frames.map(mono).collect();
        let count = mono.len();
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Piece::Samples(mono, self.rate)) {
            self.lost += count;
        }
    }
}
