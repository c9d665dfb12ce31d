//! Text from a run on its way into a page. Nothing of it may act as markup or as a script, whatever a key is called.

use serde::Serialize;

/// Text as it must stand between tags or inside a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters have no place in HTML; people still want to see that one was there.
            c if c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A value as JSON that may stand inside a `<script>` element: no `<` can end the element or open a comment.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_string(value).expect("the page's data has only string keys and finite numbers");
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// The first `max` characters of a text, with a word on how much was left out.
pub(super) fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_as_markup() {
        assert_eq!(escape("<script>\"'&\u{7}"), "&lt;script&gt;&quot;&#39;&amp;\u{fffd}");
        assert_eq!(json(&"</script><!--\u{2028}"), "\"\\u003c/script>\\u003c!--\\u2028\"");
        assert_eq!(shortened("äöü", 2), "äö… (6 bytes in all)");
        assert_eq!(shortened("äö", 2), "äö");
    }
}
