//! What a typed line asks for.

use tidings_schema::id::Uid;

/// Messages shown when a conversation is opened.
pub(super) const HISTORY: u32 = 20;
/// Most that `/history` shows.
const HISTORY_MAX: u32 = 200;
/// Messages that one `/delete` names.
const DELETED_MAX: usize = 100;

pub(super) const HELP: &str = "\
/dm USER               talk to USER
/history [N]           the last N messages, as they are now
/reply N TEXT          answer message N
/edit [N] TEXT         say something else in message N (or in your last one)
/recall [N]            take message N (or your last one) back, for everybody
/react [N] EMOJI       react to message N (or to the peer's last); /unreact
/delete N..            delete messages on your side only; upto N, or all
/pin /unpin            [USER]  before all others in the list
/mute /unmute          [USER]  no lines and no count while you talk to others
/block /unblock        [USER]  hear nothing more; /blocked: who is
/conversations         all, with unread counts
/quit                  leave (Ctrl-C and Ctrl-D too); unsent messages are kept
//TEXT                 a message that begins with /
The numbers stand before the messages. ✓ kept by the server, ✓✓ on a device of
the peer, ✓✓ read. Times are UTC. …2: two things without an answer yet.";

/// One thing a person wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    Say(String),
    Talk(Uid),
    History(u32),
    Reply { number: u32, words: String },
    Edit { number: Option<u32>, words: String },
    Recall(Option<u32>),
    React { number: Option<u32>, reaction: String, giving: Giving },
    Delete(Vec<u32>),
    DeleteUpto(u32),
    DeleteAll,
    Set { peer: Option<Uid>, setting: Setting },
    List,
    Blocked,
    Help,
    Quit,
}

/// What becomes of a reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Giving {
    Give,
    TakeBack,
}

/// How a conversation is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Pinned,
    Unpinned,
    Muted,
    Unmuted,
    Blocked,
    Unblocked,
}

impl Setting {
    /// As in "bob is pinned".
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Unpinned => "unpinned",
            Self::Muted => "muted",
            Self::Unmuted => "unmuted",
            Self::Blocked => "blocked",
            Self::Unblocked => "unblocked",
        }
    }
}

/// Reads a line.
///
/// # Errors
/// Words that say how to write it.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim();
    let Some(command) = line.strip_prefix('/') else {
        return Ok(if line.is_empty() { Command::Nothing } else { Command::Say(line.to_owned()) });
    };
    if command.starts_with('/') {
        return Ok(Command::Say(command.to_owned()));
    }
    let (verb, rest) = word(command);
    match verb {
        "help" | "?" => Ok(Command::Help),
        "quit" | "q" | "exit" => Ok(Command::Quit),
        "conversations" | "c" => Ok(Command::List),
        "blocked" => Ok(Command::Blocked),
        "dm" => user(rest).map(Command::Talk).map_err(|error| format!("the name of a user {error}: /dm USER")),
        "history" | "h" => history(rest),
        "reply" | "r" => reply(rest),
        "edit" | "e" => edit(rest),
        "recall" => number_or_nothing(rest).map(Command::Recall).ok_or_else(|| "/recall, or /recall N".into()),
        "react" => react(rest, Giving::Give),
        "unreact" => react(rest, Giving::TakeBack),
        "delete" => delete(rest),
        _ => setting(verb, rest),
    }
}

fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

fn user(text: &str) -> Result<Uid, String> {
    text.parse::<Uid>().map_err(|error| error.to_string())
}

/// `#12` and `12` both name message 12.
fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    if digits.starts_with('+') { None } else { digits.parse().ok() }
}

fn number_or_nothing(text: &str) -> Option<Option<u32>> {
    if text.is_empty() { Some(None) } else { number(text).map(Some) }
}

fn history(rest: &str) -> Result<Command, String> {
    let wrong = || format!("how many? /history N, at most {HISTORY_MAX}");
    let count = number_or_nothing(rest).ok_or_else(wrong)?;
    Ok(Command::History(count.unwrap_or(HISTORY).clamp(1, HISTORY_MAX)))
}

fn reply(rest: &str) -> Result<Command, String> {
    let (first, words) = word(rest);
    match number(first) {
        Some(number) if !words.is_empty() => Ok(Command::Reply { number, words: words.to_owned() }),
        Some(_) | None => Err("/reply N TEXT, where N is the number before the message".into()),
    }
}

/// A number in front names the message, if words follow it.
fn edit(rest: &str) -> Result<Command, String> {
    let (first, words) = word(rest);
    match number(first) {
        Some(number) if !words.is_empty() => Ok(Command::Edit { number: Some(number), words: words.to_owned() }),
        None if !rest.is_empty() => Ok(Command::Edit { number: None, words: rest.to_owned() }),
        Some(_) | None => Err("/edit TEXT for your last message, or /edit N TEXT".into()),
    }
}

fn react(rest: &str, giving: Giving) -> Result<Command, String> {
    let (first, second) = word(rest);
    let (number, reaction) = match number(first) {
        Some(number) if !second.is_empty() => (Some(number), second),
        Some(_) | None => (None, rest),
    };
    // `+1` is a number too, for a computer.
    if reaction.is_empty() || reaction.contains(char::is_whitespace) || reaction.chars().all(|c| c.is_ascii_digit()) {
        return Err("/react N EMOJI, like /react 12 👍 or /react 12 +1".into());
    }
    Ok(Command::React { number, reaction: emoji(reaction).to_owned(), giving })
}

/// What is easier to type than an emoji.
fn emoji(typed: &str) -> &str {
    match typed {
        "+1" => "👍",
        "-1" => "👎",
        "<3" => "❤",
        ":)" => "🙂",
        ":(" => "🙁",
        other => other,
    }
}

fn delete(rest: &str) -> Result<Command, String> {
    let wrong = || format!("/delete N [N..] with at most {DELETED_MAX} numbers, /delete upto N, or /delete all");
    match word(rest) {
        ("all", "") => Ok(Command::DeleteAll),
        ("upto", upto) => number(upto).map(Command::DeleteUpto).ok_or_else(wrong),
        _ => {
            let numbers: Option<Vec<u32>> = rest.split_whitespace().map(number).collect();
            let few = numbers.filter(|numbers| (1..=DELETED_MAX).contains(&numbers.len()));
            few.map(Command::Delete).ok_or_else(wrong)
        }
    }
}

fn setting(verb: &str, rest: &str) -> Result<Command, String> {
    let setting = match verb {
        "pin" => Setting::Pinned,
        "unpin" => Setting::Unpinned,
        "mute" => Setting::Muted,
        "unmute" => Setting::Unmuted,
        "block" => Setting::Blocked,
        "unblock" => Setting::Unblocked,
        other => return Err(format!("no command /{other}; /help lists them")),
    };
    if rest.is_empty() {
        return Ok(Command::Set { peer: None, setting });
    }
    let peer = user(rest).map_err(|error| format!("the name of a user {error}: /{verb} USER"))?;
    Ok(Command::Set { peer: Some(peer), setting })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::chat::width::columns;

    #[test]
    fn lines_are_what_they_look_like() {
        let words = |words: &str| words.to_owned();
        let react = |number, reaction: &str, giving| Command::React { number, reaction: reaction.into(), giving };
        let cases = [
            ("  ", Command::Nothing),
            (" hello /there ", Command::Say(words("hello /there"))),
            ("//quit", Command::Say(words("/quit"))),
            ("/dm bob", Command::Talk("bob".parse().unwrap())),
            ("/history", Command::History(20)),
            ("/h 9999", Command::History(200)),
            ("/reply 12 so it  is", Command::Reply { number: 12, words: words("so it  is") }),
            ("/edit #12 new text", Command::Edit { number: Some(12), words: words("new text") }),
            ("/edit new text", Command::Edit { number: None, words: words("new text") }),
            ("/recall", Command::Recall(None)),
            ("/recall 7", Command::Recall(Some(7))),
            ("/react 12 +1", react(Some(12), "👍", Giving::Give)),
            ("/react +1", react(None, "👍", Giving::Give)),
            ("/unreact 12 👎", react(Some(12), "👎", Giving::TakeBack)),
            ("/delete 1 2 #3", Command::Delete(vec![1, 2, 3])),
            ("/delete upto 9", Command::DeleteUpto(9)),
            ("/delete all", Command::DeleteAll),
            ("/mute", Command::Set { peer: None, setting: Setting::Muted }),
            ("/block bob", Command::Set { peer: Some("bob".parse().unwrap()), setting: Setting::Blocked }),
            ("/q", Command::Quit),
        ];
        for (line, command) in cases {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_answered_with_how_to_write_it() {
        let cases = [
            ("/nonsense", "no command /nonsense; /help lists them"),
            ("/dm a/b", "/dm USER"),
            ("/dm", "/dm USER"),
            ("/history all", "/history N"),
            ("/reply hello", "/reply N TEXT"),
            ("/edit", "/edit TEXT"),
            ("/edit 12", "/edit N TEXT"),
            ("/recall it", "/recall N"),
            ("/react 12", "/react N EMOJI"),
            ("/react 12 thumbs up", "/react N EMOJI"),
            ("/delete", "/delete N"),
            ("/delete upto", "/delete upto N"),
            ("/delete 1 x", "/delete N"),
            ("/pin a b", "/pin USER"),
        ];
        for (line, expected) in cases {
            let said = parse(line).unwrap_err();
            assert!(said.contains(expected), "{line}: {said}");
        }
        assert!(parse(&format!("/delete{}", " 1".repeat(101))).is_err());
    }

    #[test]
    fn the_help_fits_a_screen() {
        assert!(HELP.lines().count() <= 22, "{}", HELP.lines().count());
        assert!(HELP.lines().all(|line| columns(line) < 80));
    }
}
