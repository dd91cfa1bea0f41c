//! The primitives of the inbox, which its model replaces by ones that try every order of events.

#[cfg(not(feature = "shuttle"))]
pub(super) use std::sync::atomic::AtomicBool;
#[cfg(not(feature = "shuttle"))]
pub(super) use std::sync::{Mutex, MutexGuard};

#[cfg(feature = "shuttle")]
pub(super) use shuttle::sync::atomic::AtomicBool;
#[cfg(feature = "shuttle")]
pub(super) use shuttle::sync::{Mutex, MutexGuard};
