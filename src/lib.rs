//! placeholder
pub use fastws_core::*;
#[doc(hidden)]
pub use fastws_core::private;
pub use fastws_macros::{payload, recv, send, topic};
