//! How many columns of a terminal text takes, and which part of it fits.

use unicode_width::UnicodeWidthChar as _;

/// Columns of one character: two for East Asian wide ones and emoji, none for marks that join the one before.
pub(super) fn width(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Columns of a text.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// The text, or its beginning with `…` when it takes more than `room` columns.
pub(super) fn cut(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |c: &char| {
        used += width(*c);
        used <= room
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    if room > 0 {
        cut.push('…');
    }
    cut
}

/// The part of a line that is on the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) text: String,
    /// Columns from the cursor to the end of `text`.
    pub(super) behind: usize,
}

/// What of a line is seen in `room` columns so that the place before character `at` is among it.
pub(super) fn window(line: &[char], at: usize, room: usize) -> Window {
    let (head, tail) = line.split_at(at.min(line.len()));
    let mut used = 0;
    let mut fits = |c: &&char| {
        used += width(**c);
        used <= room
    };
    let seen = head.iter().rev().take_while(&mut fits).count();
    let head = &head[head.len() - seen..];
    let mut used: usize = head.iter().map(|c| width(*c)).sum();
    let before = used;
    let fits = |c: &&char| {
        used += width(**c);
        used <= room
    };
    let tail: String = tail.iter().take_while(fits).collect();
    let behind = columns(&tail);
    debug_assert!(before + behind <= room, "a window is as wide as its room");
    Window { text: head.iter().collect::<String>() + &tail, behind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns_and_joined_marks_none() {
        assert_eq!((columns("abc"), columns("日本"), columns("👍"), columns("e\u{301}")), (3, 4, 2, 1));
        assert_eq!(columns("✓✓ …─"), 5);
    }

    #[test]
    fn a_text_that_is_too_long_ends_in_an_ellipsis_and_never_takes_more_than_its_room() {
        assert_eq!((cut("hello", 5), cut("hello", 4)), ("hello".into(), "hel…".into()));
        assert_eq!((cut("日本語", 5), cut("日本語", 4), cut("日", 1)), ("日本…".into(), "日…".into(), "…".into()));
        assert_eq!(cut("hello", 0), "");
    }

    #[test]
    fn a_window_holds_the_cursor_and_fits_whatever_the_line_is() {
        let line: Vec<char> = "日本 hello wörld 👍👍 end".chars().collect();
        for room in 1..30 {
            for at in 0..=line.len() {
                let window = window(&line, at, room);
                let seen = columns(&window.text);
                assert!(seen <= room, "{room} {at} {window:?}");
                let head: String = line[..at].iter().collect();
                let shown: String = window.text.chars().collect();
                let before = seen - window.behind;
                assert!(columns(&head) >= before && shown.chars().count() <= line.len(), "{room} {at}");
            }
        }
        let whole = window(&line, 3, 40);
        assert_eq!((whole.text, whole.behind), (line.iter().collect(), columns("hello wörld 👍👍 end")));
    }
}
