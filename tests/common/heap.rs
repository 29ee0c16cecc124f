//! An allocator that refuses what nothing here should ask for.

use std::alloc::{GlobalAlloc, Layout, System};

/// Larger requests are refused.
pub const MAX_REQUEST_BYTES: usize = 256 << 20;

/// Refuses requests for more than [`MAX_REQUEST_BYTES`] at once, and ends the process, as what asks
/// may be content with less.
pub struct Refusing;

fn check(bytes: usize) {
    if bytes > MAX_REQUEST_BYTES {
        std::process::abort();
    }
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        check(new_size);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}
