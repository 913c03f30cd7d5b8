//! Chance and time of the process itself, fixed from outside.
//!
//! Not all that draws a random number or reads a clock asks us: openraft's election jitter, tokio's `select!` and `watch`, and every
//! `RandomState` go to the C library. This program therefore brings its own `getrandom` and `clock_gettime`, which the linker prefers to
//! the library's. It is the only unsafe code of the simulation, and no other program contains it.

#![expect(unsafe_code, reason = "the C library's functions are replaced")]

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use libc::{c_int, c_long, c_uint, c_void, clockid_t, size_t, ssize_t, timespec};

/// The state of the random numbers that the process draws, and what its clocks show, in nanoseconds.
static RANDOM: AtomicU64 = AtomicU64::new(0);
static CLOCK_NS: AtomicI64 = AtomicI64::new(0);

/// What every number that is drawn advances the state by (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Has the process draw its random numbers from here on from `state`; returns the state of those that it drew from before.
pub(crate) fn swap_random(state: u64) -> u64 {
    RANDOM.swap(state, Ordering::Relaxed)
}

/// Sets what the process's clocks show.
pub(crate) fn set_clock_ns(now_ns: i64) {
    CLOCK_NS.store(now_ns, Ordering::Relaxed);
}

/// What the process's clocks show.
pub(crate) fn clock_ns() -> i64 {
    CLOCK_NS.load(Ordering::Relaxed)
}

/// The next number (`SplitMix64`).
fn next_random() -> u64 {
    let state = RANDOM.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Takes the place of the C library's `getrandom`.
///
/// # Safety
/// As that of the C library: `buffer` must be valid for writes of `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: size_t, _flags: c_uint) -> ssize_t {
    // SAFETY: the caller promises that the buffer is as long.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&next_random().to_le_bytes()[..chunk.len()]);
    }
    ssize_t::try_from(length).unwrap_or(ssize_t::MAX)
}

/// Takes the place of the C library's `clock_gettime`: all clocks are one.
///
/// # Safety
/// As that of the C library: `time` must be valid for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(_clock: clockid_t, time: *mut timespec) -> c_int {
    let now_ns = CLOCK_NS.load(Ordering::Relaxed);
    let (tv_sec, tv_nsec) = (now_ns / 1_000_000_000, now_ns % 1_000_000_000);
    // SAFETY: the caller promises that it may be written.
    unsafe { time.write(timespec { tv_sec, tv_nsec: tv_nsec as c_long }) };
    0
}
