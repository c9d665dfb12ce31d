//! What no client library would send: HTTP/2 by hand, over raw TCP.
//!
//! * [`h2`]: frames and header blocks, right or wrong as one likes.
//! * [`wild`]: one valid request of every method, and mutations of them.
//! * [`honest`]: a client that goes on as if nothing were, and notes how long it waited.

pub mod h2;
pub mod honest;
pub mod wild;
