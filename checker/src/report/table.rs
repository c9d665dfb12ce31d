//! Small tables that people keep by hand in text files: the bug ledger, the table of planted bugs.
//!
//! ```text
//!   | seed | what | why | fix |
//!   |------|------|-----|-----|
//!   | 4711 | a write acknowledged twice | ... | 1a2b3c4 |
//! ```
//!
//! As in Markdown, so that the ledger may stand in a page of the book. A `|` inside a cell is written `\|`.

use super::html::escape;

/// A table: a head and rows of as many cells.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// The names of its columns.
    pub head: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The first table after a heading (a line that starts with `#`) which contains `heading`, or the first of all if
    /// `heading` is empty. None: there is no such table.
    pub fn read(text: &str, heading: &str) -> Option<Self> {
        let heading = heading.to_lowercase();
        let is_heading = |line: &&str| line.starts_with('#') && line.to_lowercase().contains(&heading);
        let lines = text.lines().map(str::trim);
        let lines: Vec<&str> = match &heading[..] {
            "" => lines.collect(),
            _ => lines
                .skip_while(|line| !is_heading(line))
                .skip(1)
                .take_while(|line| !line.starts_with('#'))
                .collect(),
        };
        let rows = lines
            .into_iter()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'));
        let mut rows = rows.map(cells).filter(|cells| !is_rule(cells));
        let head = rows.next()?;
        let width = head.len();
        let fit = |mut row: Vec<String>| {
            row.resize(width, String::new());
            row
        };
        Some(Self { rows: rows.map(fit).collect(), head })
    }

    /// As HTML.
    pub(super) fn html(&self, id: &str) -> String {
        let row = |cells: &Vec<String>, tag: &str| {
            let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
            format!("<tr>{}</tr>", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().map(|cells| row(cells, "td")).collect();
        let head = row(&self.head, "th");
        format!(
            "<div class=\"wide\"><table id=\"{id}\"><thead>{head}</thead><tbody>{rows}</tbody></table></div>"
        )
    }
}

fn cells(line: &str) -> Vec<String> {
    let hidden = line.replace("\\|", "\0");
    let inner = hidden.trim_start_matches('|').trim_end().trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().replace('\0', "|").replace('`', "")).collect()
}

/// Whether it is the line of dashes below the head.
fn is_rule(cells: &[String]) -> bool {
    cells.iter().all(|cell| cell.contains('-') && cell.chars().all(|c| matches!(c, '-' | ':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_below_its_heading() {
        let text = "# Testing\n| a |\n|---|\n| 1 |\n\n## The bug ledger\nwords\n\n| seed | what |\n|:--|--:|\n| 7 | `x` \\| y |\n| 8 |\n\n## Next\n| no |\n";
        let ledger = Table::read(text, "bug LEDGER").expect("a table");
        assert_eq!(ledger.head, ["seed", "what"]);
        assert_eq!(ledger.rows, [["7", "x | y"], ["8", ""]]);
        assert_eq!(Table::read(text, "").expect("a table").head, ["a"]);
        assert_eq!(Table::read(text, "planted"), None);
        assert_eq!(Table::read("", ""), None);
    }
}
