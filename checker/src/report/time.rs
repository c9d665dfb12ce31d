//! Stamps as the page shows them.

/// Nanoseconds as milliseconds with three digits after the point, which keeps the inlined data short.
pub(super) fn ms(ns: u64) -> f64 {
    (ns as f64 / 1e3).round() / 1e3
}

/// A duration for people: three digits that matter, and a unit.
pub(super) fn duration(ns: u64) -> String {
    let seconds = ns as f64 / 1e9;
    match ns {
        0 => "0".to_owned(),
        1..1_000_000 => format!("{:.0} µs", seconds * 1e6),
        1_000_000..10_000_000 => format!("{:.1} ms", seconds * 1e3),
        10_000_000..1_000_000_000 => format!("{:.0} ms", seconds * 1e3),
        1_000_000_000..100_000_000_000 => format!("{seconds:.2} s"),
        100_000_000_000..7_200_000_000_000 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// A moment of the run for people, in seconds from its start.
pub(super) fn moment(ns: u64) -> String {
    format!("{:.3} s", ns as f64 / 1e9)
}

/// A count with thin spaces between its thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_read_well() {
        let all = [0, 700, 1_500_000, 340_000_000, 2_345_000_000, 600_000_000_000, 8_000_000_000_000];
        let texts = ["0", "1 µs", "1.5 ms", "340 ms", "2.35 s", "10.0 min", "2.2 h"];
        assert_eq!(all.map(duration), texts.map(str::to_owned));
        assert_eq!(moment(1_234_567_890), "1.235 s");
        assert_eq!(ms(1_234_567_890), 1234.568);
        assert_eq!([5, 1000, 1_234_567].map(count), ["5", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
    }
}
