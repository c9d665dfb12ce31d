//! Whole-system tests: harness, models, scenarios.
//!
//! * [`model`]: the move protocol, explored exhaustively.
//! * [`cluster`]: clusters of real processes; [`proxy`] makes the network between them bad; [`load`] makes traffic, [`crossing`] a slow move, [`rows`] data, [`raw`] ids of its own.
//! * [`hostile`]: what no client would send.
//! * [`oracle`] judges what appenders were told, `flotilla_checker` everybody else; [`words`] is real input.
//!
//! The scenarios themselves are in `tests/tests`, a file for each kind.

pub mod cluster;
pub mod crossing;
pub mod hostile;
pub mod load;
pub mod model;
pub mod oracle;
pub mod proxy;
pub mod raw;
pub mod rows;
pub mod words;
