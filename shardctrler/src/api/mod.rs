//! What the controller is asked, and what it answers. Messages with a `prost` derive travel; tags never change meaning.

pub mod command;
mod directory;
mod query;
mod response;

pub use command::Command;
pub use directory::{Directory, GroupRecord, GroupState, NodeRecord, Replica};
pub use query::{Answer, ConfigAnswer, ControllerStatus, Query};
pub use response::{Code, Response};
