//! Lines of a recorded run, which may come from another machine.

use flotilla_checker::record::Line;

/// One file.
pub fn run(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { continue };
        let json = serde_json::to_string(&line).expect("a line that was read can be written");
        let again: Line = serde_json::from_str(&json).expect("a line that was written can be read");
        assert_eq!(again, line, "{json}");
    }
}
