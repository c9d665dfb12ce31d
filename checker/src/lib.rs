//! Records of runs, the checkers that judge them, invariants, and the report page.

pub mod record;
pub mod text;
