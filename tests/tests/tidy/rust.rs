//! Just enough of Rust's syntax: which characters are code, which items are tests, how long functions are.

/// What is left of a source file without its tests.
pub struct Product {
    /// The code; comments, literals and test items are blanks, line breaks stay.
    pub code: String,
    /// How many lines belong to no test item.
    pub lines: usize,
    /// Names in `#[cfg(test)] mod name;`.
    pub test_modules: Vec<String>,
}

/// One function.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// Its length, from `fn` to the closing brace.
    pub lines: usize,
}

/// Replaces comments, strings and character literals by blanks of the same shape.
pub fn blank(source: &str) -> Vec<char> {
    let chars: Vec<char> = source.chars().collect();
    let mut out = chars.clone();
    let mut at = 0;
    while at < chars.len() {
        if let Some(end) = literal_end(&chars, at) {
            wipe(&mut out, at, end);
            at = end;
        } else if is_word(chars[at]) {
            at += chars[at..].iter().take_while(|c| is_word(**c)).count();
        } else {
            at += 1;
        }
    }
    out
}

/// Separates the product from its tests.
pub fn product(source: &str) -> Product {
    let mut code = blank(source);
    let mut test_modules = Vec::new();
    let mut test_lines = 0;
    let mut at = 0;
    while let Some(start) = find(&code, at, "#[") {
        let attribute_end = matching(&code, start + 1);
        at = attribute_end;
        let attribute: String = code[start + 2..attribute_end - 1].iter().collect();
        if is_test_attribute(&attribute) {
            at = item_end(&code, attribute_end);
            let item: String = code[attribute_end..at].iter().collect();
            test_modules.extend(declared_module(&item));
            test_lines += code[start..at].iter().filter(|c| **c == '\n').count();
            wipe(&mut code, start, at);
        }
    }
    let lines = source.lines().count() - test_lines;
    Product { code: code.into_iter().collect(), lines, test_modules }
}

/// The functions in code that has been blanked, in order.
pub fn functions(code: &str) -> Vec<Function> {
    let chars: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = find(&chars, at, "fn ") {
        at = start + 3;
        if start > 0 && is_word(chars[start - 1]) {
            continue;
        }
        let end = item_end(&chars, at);
        if chars.get(end - 1) == Some(&'}') {
            let line_breaks = |range: &[char]| range.iter().filter(|c| **c == '\n').count();
            let name = chars[at..].iter().take_while(|c| is_word(**c)).collect();
            let lines = line_breaks(&chars[start..end]) + 1;
            found.push(Function { name, line: line_breaks(&chars[..start]) + 1, lines });
        }
    }
    found
}

/// The line (from 1) of a position in `code`.
pub fn line_of(code: &str, byte: usize) -> usize {
    code[..byte].matches('\n').count() + 1
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn wipe(chars: &mut [char], start: usize, end: usize) {
    chars[start..end].iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
}

fn find(chars: &[char], from: usize, wanted: &str) -> Option<usize> {
    let wanted: Vec<char> = wanted.chars().collect();
    chars[from..].windows(wanted.len()).position(|window| window == wanted).map(|found| from + found)
}

/// Where the comment or literal that starts at `at` ends, if one starts there.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    match rest {
        ['/', '/', ..] => Some(at + rest.iter().take_while(|c| **c != '\n').count()),
        ['/', '*', ..] => Some(at + block_comment(rest)),
        ['"', ..] => Some(at + quoted(rest, '"')),
        ['\'', '\\', ..] => Some(at + quoted(rest, '\'')),
        ['\'', _, '\'', ..] => Some(at + 3),
        ['b' | 'c', '"', ..] => Some(at + 1 + quoted(&rest[1..], '"')),
        ['b' | 'c', 'r', ..] => raw_string(&rest[2..]).map(|length| at + 2 + length),
        ['r', ..] => raw_string(&rest[1..]).map(|length| at + 1 + length),
        _ => None,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

/// The length of a literal in `quote`s, which may hold escapes.
fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of `#"..."#`, if that is what this is.
fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest.iter().take_while(|c| **c == '#').count();
    if rest.get(hashes) != Some(&'"') {
        return None;
    }
    let close: String = std::iter::once('"').chain("#".repeat(hashes).chars()).collect();
    let end = find(rest, hashes + 1, &close).map_or(rest.len(), |found| found + close.len());
    Some(end)
}

/// The position after the bracket that closes the one at `open`.
fn matching(chars: &[char], open: usize) -> usize {
    let mut depth = 0;
    for (at, c) in chars.iter().enumerate().skip(open) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 1 => return at + 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    chars.len()
}

/// The position after the item that starts at `from`: its semicolon or its closing brace.
fn item_end(chars: &[char], from: usize) -> usize {
    let mut at = from;
    while at < chars.len() {
        match chars[at] {
            ';' => return at + 1,
            '{' => return matching(chars, at),
            '(' | '[' => at = matching(chars, at),
            _ => at += 1,
        }
    }
    chars.len()
}

fn is_test_attribute(attribute: &str) -> bool {
    let attribute = attribute.trim();
    let mut words = attribute.split(|c| !is_word(c));
    let conditional = attribute.starts_with("cfg(") && words.any(|word| word == "test");
    (conditional && !attribute.contains("not(test)")) || attribute == "test" || attribute.ends_with("::test")
}

fn declared_module(item: &str) -> Option<String> {
    let declaration = item.trim().strip_suffix(';')?;
    declaration.split_whitespace().skip_while(|word| *word != "mod").nth(1).map(str::to_owned)
}

#[test]
fn literals_and_comments_are_not_code() {
    let source = r##"let a = "fn x() {"; /* { /* } */ */ let b = '{'; let c: &'a str = r#"}"}"#; // }"##;
    let blanked: String = blank(source).into_iter().collect();
    assert!(!blanked.contains(['{', '}', '"']), "{blanked}");
    assert!(blanked.contains("let c: &'a str ="), "{blanked}");
}

#[test]
fn tests_are_not_product() {
    let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { x.unwrap(); }\n}\n#[cfg(test)]\nmod more;\nfn c() {}\n";
    let product = product(source);
    assert_eq!(product.test_modules, ["more"]);
    assert_eq!(functions(&product.code).iter().map(|f| &f.name[..]).collect::<Vec<_>>(), ["a", "c"]);
    assert!(product.lines < source.lines().count());
}

#[test]
fn a_function_is_as_long_as_it_looks() {
    let code = "struct S;\nimpl S {\n    fn short(&self) -> [u8; 2] { [1, 2] }\n    fn long(\n        &self,\n    ) {\n        {}\n    }\n    fn none();\n}\n";
    let found = functions(code);
    let long = Function { name: "long".into(), line: 4, lines: 5 };
    assert_eq!(found, [Function { name: "short".into(), line: 3, lines: 1 }, long]);
}
