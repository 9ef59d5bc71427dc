//! What a person sees: a terminal that obeys the few sequences the chat may write, and panics at any other.

use unicode_width::UnicodeWidthChar as _;

/// One row, and whether the next one goes on with it because it was full.
#[derive(Clone, Debug, Default)]
struct Row {
    text: Vec<(char, usize)>,
    goes_on: bool,
}

impl Row {
    fn columns(&self) -> usize {
        self.text.iter().map(|(_, width)| width).sum()
    }

    /// Keeps the characters before `column`.
    fn cut(&mut self, column: usize) {
        while self.columns() > column {
            self.text.pop();
        }
    }
}

/// Rows without end, so that nothing scrolls away.
#[derive(Debug)]
pub struct Terminal {
    pub columns: usize,
    rows: Vec<Row>,
    row: usize,
    column: usize,
    /// Bytes of an unfinished character or sequence.
    partial: Vec<u8>,
}

impl Terminal {
    pub fn new(columns: usize) -> Self {
        Self { columns, rows: vec![Row::default()], row: 0, column: 0, partial: Vec::new() }
    }

    pub fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.partial.push(byte);
            if let Ok(text) = std::str::from_utf8(&self.partial) {
                let text = text.to_owned();
                if self.obey(&text) {
                    self.partial.clear();
                }
            }
        }
    }

    /// Everything, a line per line however many rows it takes.
    pub fn text(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let text: String = row.text.iter().map(|(c, _)| *c).collect();
            if row.goes_on { text } else { text + "\n" }
        });
        rows.collect()
    }

    /// The row of the cursor, when it stands alone.
    pub fn typed_row(&self) -> Option<String> {
        let alone = self.row == 0 || !self.rows[self.row - 1].goes_on;
        alone.then(|| self.rows[self.row].text.iter().map(|(c, _)| *c).collect())
    }

    pub fn cursor(&self) -> usize {
        self.column
    }

    /// The window has other columns: lines are broken into rows anew, as most terminals do, and the cursor stays where
    /// it was in its line.
    pub fn resize(&mut self, columns: usize) {
        let old = std::mem::replace(self, Self::new(columns));
        let mut cursor = (0, 0);
        for (number, row) in old.rows.iter().enumerate() {
            let mut before = 0;
            for (c, width) in row.text.iter().chain([&(' ', 0)]) {
                if number == old.row && before == old.column {
                    cursor = (self.row, self.column);
                }
                before += width;
                if *width > 0 {
                    self.put_visible(*c, *width);
                }
            }
            if !row.goes_on && number + 1 < old.rows.len() {
                self.column = 0;
                self.next_row(false);
            }
        }
        (self.row, self.column) = cursor;
        self.partial = old.partial;
    }

    /// False while a sequence is not complete.
    fn obey(&mut self, text: &str) -> bool {
        let Some(sequence) = text.strip_prefix('\u{1b}') else {
            text.chars().for_each(|c| self.put(c));
            return true;
        };
        let Some(end) = sequence.strip_prefix('[').and_then(|rest| rest.chars().last()) else {
            assert!(sequence.len() < 2, "a sequence the chat has no use for: {text:?}");
            return false;
        };
        if !end.is_ascii_alphabetic() {
            return false;
        }
        let count = sequence[1..sequence.len() - 1].parse().unwrap_or(1);
        match end {
            'K' => self.erase(),
            'J' => {
                self.erase();
                self.rows.truncate(self.row + 1);
            }
            'A' => self.row = self.row.saturating_sub(count),
            'D' => self.column = self.column.saturating_sub(count),
            'm' => {}
            _ => panic!("a sequence the chat has no use for: {text:?}"),
        }
        true
    }

    fn put(&mut self, c: char) {
        match c {
            '\r' => self.column = 0,
            '\n' => self.next_row(false),
            c => {
                assert!(!c.is_control(), "{c:?} reached the terminal");
                self.put_visible(c, c.width().unwrap_or(0));
            }
        }
    }

    fn put_visible(&mut self, c: char, width: usize) {
        if self.column + width > self.columns {
            self.next_row(true);
            self.column = 0;
        }
        let row = &mut self.rows[self.row];
        row.cut(self.column);
        row.text.push((c, width));
        self.column += width;
    }

    /// The row from the cursor on.
    fn erase(&mut self) {
        let row = &mut self.rows[self.row];
        row.cut(self.column);
        row.goes_on = false;
    }

    fn next_row(&mut self, goes_on: bool) {
        self.rows[self.row].goes_on = goes_on;
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push(Row::default());
        }
    }
}

#[test]
fn a_terminal_wraps_what_is_too_long_and_erases_what_it_is_told_to() {
    let mut terminal = Terminal::new(6);
    terminal.take("\r\u{1b}[Kbob> \r\u{1b}[K日本語日\r\nbob> x\u{1b}[1D".as_bytes());
    assert_eq!((terminal.text().as_str(), terminal.cursor()), ("日本語日\nbob> x\n", 5));
    assert_eq!(terminal.typed_row().as_deref(), Some("bob> x"));
    terminal.resize(4);
    assert_eq!((terminal.text().as_str(), terminal.typed_row(), terminal.cursor()), ("日本語日\nbob> x\n", None, 1));
    terminal.take("\u{1b}[1A\r\u{1b}[J!> ".as_bytes());
    assert_eq!((terminal.text().as_str(), terminal.typed_row().as_deref()), ("日本語日\n!> \n", Some("!> ")));
}
