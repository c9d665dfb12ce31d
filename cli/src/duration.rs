//! Durations as they are typed: `10`, `10s`, `1.5s`, `500ms`, `2m`, `1h`.

use std::time::Duration;

/// Longer ones are a slip of the finger.
const SECONDS_MAX: f64 = 7.0 * 24.0 * 3600.0;

/// Parses a duration; a bare number means seconds.
pub fn parse(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{text:?} is not a duration: write 10s, 500ms or 2m")),
    };
    let number: f64 =
        number.parse().map_err(|_| format!("{text:?} is not a duration: write 10s, 500ms or 2m"))?;
    let seconds = number * factor;
    if !(0.001..=SECONDS_MAX).contains(&seconds) {
        return Err(format!("{text:?} is out of range: from 1ms to 168h"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A duration for people: `4.2 s`, `13 ms`, `2 min 5 s`.
pub fn shown(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_people_type() {
        for (text, millis) in
            [("10", 10_000), ("1.5s", 1500), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "0", "-1", "ten", "10 s", "1.2.3", "1e9", "999h", "10sec"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
