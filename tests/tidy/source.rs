//! A source file as tidy sees it: without comments and the contents of texts, and split into test and production code.

use std::{fs, io, path::Path};

/// One file of the repository; `path` is relative to the root, with `/`.
pub struct Source {
    pub path: String,
    pub text: String,
    /// `text` with comments and the contents of literals blanked; every line keeps its number.
    pub code: String,
    test_lines: Vec<Code>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    Production,
    Test,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let test_lines = test_lines(path, &code);
        Self { path: path.into(), text: text.into(), code, test_lines }
    }

    /// Number (from 1) and code of each line.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    pub fn is_test(&self, line: usize) -> bool {
        self.test_lines.get(line - 1) == Some(&Code::Test)
    }

    pub fn line_of(&self, byte: usize) -> usize {
        self.code[..byte].matches('\n').count() + 1
    }
}

/// All files below `root` that end so, in order of path.
pub fn read_all(root: &Path, ending: &str) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
                folders.push(path);
            } else if path.is_file() && name.ends_with(ending) {
                let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                found.push(Source::new(&relative, &fs::read_to_string(&path)?));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The place after the bracket that closes the first one at or after `from`.
pub fn closing(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[from..].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return from + at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

fn test_lines(path: &str, code: &str) -> Vec<Code> {
    let count = code.lines().count();
    let in_tests = path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs");
    let mut lines = vec![if in_tests { Code::Test } else { Code::Production }; count];
    for (at, mark) in code.match_indices("#[cfg(test)]") {
        let after = at + mark.len();
        let first = code[..at].matches('\n').count();
        // `mod tests;` has no body here; its file is recognised by its name.
        let body = code[after..].find('{').filter(|open| !code[after..after + open].contains(';'));
        let end = body.map_or(after, |open| closing(code, after + open));
        let last = code[..end].matches('\n').count();
        lines[first..=last.min(count - 1)].fill(Code::Test);
    }
    lines
}

/// Blanks comments and the contents of text, byte and character literals.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        let quote = if chars[at] == '/' { ' ' } else { '"' };
        out.push(quote);
        out.extend(chars[at + 1..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        if quote == '"' && out.pop().is_some() {
            out.push('"');
        }
        at = end;
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` when none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match (chars[at], next) {
        ('/', Some('/')) => find(chars, at, |rest| rest[0] == '\n'),
        ('/', Some('*')) => comment_end(chars, at),
        ('"', _) => quoted_end(chars, at + 1, '"'),
        ('\'', Some('\\')) => quoted_end(chars, at + 1, '\''),
        ('\'', _) if chars.get(at + 2) == Some(&'\'') => at + 3,
        ('r', Some('#' | '"')) if !in_word || chars[at - 1] == 'b' => raw_end(chars, at),
        _ => at,
    }
}

fn find(chars: &[char], from: usize, hit: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|&at| hit(&chars[at..])).unwrap_or(chars.len())
}

fn comment_end(chars: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (1_usize, from + 2);
    while at < chars.len() && depth > 0 {
        match &chars[at..chars.len().min(at + 2)] {
            ['/', '*'] => (depth, at) = (depth + 1, at + 2),
            ['*', '/'] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    chars.len().min(at + 1)
}

fn raw_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        // A raw identifier.
        return at;
    }
    let mut close = vec!['"'];
    close.resize(hashes + 1, '#');
    let end = find(chars, at + 2 + hashes, |rest| rest.starts_with(&close));
    chars.len().min(end + close.len())
}
