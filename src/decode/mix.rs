//! Any decoded buffer to mono.

use symphonia::core::audio::conv::IntoSample;
use symphonia::core::audio::sample::Sample;
use symphonia::core::audio::{Audio, AudioBuffer, GenericAudioBufferRef};

/// Averages the channels of whatever was decoded into `mono`.
pub(super) fn mix(buffer: &GenericAudioBufferRef<'_>, mono: &mut Vec<f32>) {
    use GenericAudioBufferRef as Ref;
    match buffer {
        Ref::U8(buffer) => mix_planes(buffer, mono),
        Ref::U16(buffer) => mix_planes(buffer, mono),
        Ref::U24(buffer) => mix_planes(buffer, mono),
        Ref::U32(buffer) => mix_planes(buffer, mono),
        Ref::S8(buffer) => mix_planes(buffer, mono),
        Ref::S16(buffer) => mix_planes(buffer, mono),
        Ref::S24(buffer) => mix_planes(buffer, mono),
        Ref::S32(buffer) => mix_planes(buffer, mono),
        Ref::F32(buffer) => mix_planes(buffer, mono),
        Ref::F64(buffer) => mix_planes(buffer, mono),
    }
}

fn mix_planes<S: Sample + IntoSample<f32>>(buffer: &AudioBuffer<S>, mono: &mut Vec<f32>) {
    mono.clear();
    if let (2, Some((left, right))) = (buffer.num_planes(), buffer.plane_pair(0, 1)) {
        let both = left.iter().zip(right);
        mono.extend(both.map(|(&left, &right)| {
            let (left, right): (f32, f32) = (left.into_sample(), right.into_sample());
            0.5 * (left + right)
        }));
        return;
    }
    for (number, plane) in buffer.iter_planes().enumerate() {
        let samples = plane.iter().map(|&sample| -> f32 { sample.into_sample() });
        if number == 0 {
            mono.extend(samples);
        } else {
            mono.iter_mut().zip(samples).for_each(|(sum, sample)| *sum += sample);
        }
    }
    if buffer.num_planes() > 1 {
        let share = 1.0 / buffer.num_planes() as f32;
        mono.iter_mut().for_each(|sum| *sum *= share);
    }
}
