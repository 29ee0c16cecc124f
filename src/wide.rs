//! Hot loops, compiled twice: for every x86-64 processor, and for those with AVX2, which is found
//! out at run time.
//!
//! Both do the same arithmetic in the same order (AVX2 alone fuses no multiplication with an
//! addition), so the results are the same to the last bit.
#![allow(unsafe_code)]

/// Does `work`, in vectors of 256 bits where the processor has them.
///
/// All that `work` calls has to be inlined into it to gain from them, and itself has to be: it is a
/// closure marked `#[inline(always)]`, of functions that are.
#[inline(always)]
pub(crate) fn run<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { with_avx2(work) };
        }
    }
    work()
}
