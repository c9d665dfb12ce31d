//! The `[settings]` of a node's file: parsed, checked, and refused with a message that names the field.

use flotilla_node::Settings;

/// One file.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(settings) = toml::from_str::<Settings>(text) else { return };
    if let Err(error) = settings.validate() {
        assert!(!error.field.is_empty() && !error.problem.is_empty(), "{error} in {text:?}");
    }
}
