//! An update on its way: the bytes that all subscribers share, and what each of them wants of it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use crate::websocket::Prepared;

/// This is one subscription of one connection. A later subscription to the same topic has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SubscriptionId(pub(crate) u64);

/// This is an update: one frame, whoever gets it.
#[derive(Clone)]
pub(crate) struct Update {
    pub(crate) frame: Prepared,
    /// The value itself, for the subscribers' shapes; what has none passes them all.
    pub(crate) value: Option<Seen>,
    /// A shape sees a snapshot, and cannot keep it away.
    pub(crate) is_snapshot: bool,
}

/// This is the value of an update, for shapes to look at.
pub(crate) type Seen = Arc<dyn Any + Send + Sync>;

impl Update {
    /// A frame that every subscriber gets.
    pub(crate) fn plain(text: &str) -> Self {
        Self { frame: Prepared::text(text), value: None, is_snapshot: false }
    }

    /// Whether a subscriber with this shape gets it.
    pub(crate) fn suits(&self, shape: Option<&Shape>) -> bool {
        let (Some(shape), Some(value)) = (shape, &self.value) else { return true };
        // The shape is asked first, for it may remember what it saw.
        shape.wants(value) || self.is_snapshot
    }
}

/// This decides, for one subscriber, whether it gets an update. It is the application's code, which runs without any
/// lock but its own and may panic.
#[derive(Clone)]
pub(crate) struct Shape(Arc<Mutex<Wants>>);

type Wants = dyn FnMut(&(dyn Any + Send + Sync)) -> bool + Send;

impl Shape {
    /// Judges values of type `T`, and lets all others pass.
    pub(crate) fn of<T: 'static>(mut wanted: impl FnMut(&T) -> bool + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(move |value: &(dyn Any + Send + Sync)| value.downcast_ref().is_none_or(&mut wanted))))
    }

    fn wants(&self, value: &Seen) -> bool {
        let judge = || (self.0.lock().unwrap_or_else(PoisonError::into_inner))(value.as_ref());
        catch_unwind(AssertUnwindSafe(judge)).unwrap_or_else(|_| {
            tracing::error!("a subscriber's shape panicked; it does not get the update");
            false
        })
    }
}
