//! Writes settings down: those that hold, with their source, and a file with every default. Both are TOML.

use std::fmt::Write as _;

use super::{
    Config,
    read::Loaded,
    setting::Setting,
    table::{SECTIONS, SETTINGS},
    value::Form,
};

/// Columns of a comment in the default file.
const COLUMNS: usize = 100;

/// The settings that hold, each with its source and meaning; reading it gives the same settings.
#[must_use]
pub fn effective(loaded: &Loaded) -> String {
    let lines: Vec<Line> = SETTINGS.iter().enumerate().map(|(at, setting)| line(loaded, at, setting)).collect();
    let width = |of: fn(&Line) -> &str| lines.iter().map(|line| of(line).chars().count()).max().unwrap_or_default();
    let (value_width, origin_width) = (width(|line| &line.value), width(|line| &line.origin));
    let mut text =
        String::from("# A flag wins over the environment, the environment over the file, the file over the default.\n");
    for (section, about) in SECTIONS {
        // Writing into a String does not fail.
        let _ = writeln!(text, "\n[{section}]  # {about}");
        for line in lines.iter().filter(|line| line.section == *section) {
            let Line { value, origin, meaning, .. } = line;
            let _ = writeln!(text, "{value:value_width$}  # {origin:origin_width$}  {meaning}");
        }
    }
    text
}

struct Line {
    section: &'static str,
    value: String,
    origin: String,
    meaning: &'static str,
}

fn line(loaded: &Loaded, at: usize, setting: &Setting) -> Line {
    let shown = (setting.show)(&loaded.config);
    // What cannot stand in a file stands in a comment.
    let hidden = if setting.form == Form::Secret { "# " } else { "" };
    Line {
        section: setting.section,
        value: format!("{hidden}{} = {shown}", setting.field),
        origin: loaded.origin(at).to_string(),
        meaning: setting.meaning,
    }
}

/// A file with every setting at its default, commented out, with what is allowed and why.
#[must_use]
pub fn default_file() -> String {
    let mut text = format!(
        "# Settings of tidings {}. What is commented out has the value that stands there.\n# Each is also an environment \
         variable: limits.recall_s is TIDINGS_LIMITS_RECALL_S.\n",
        env!("CARGO_PKG_VERSION")
    );
    for (section, about) in SECTIONS {
        let _ = writeln!(text, "\n# {about}\n[{section}]");
        for setting in SETTINGS.iter().filter(|setting| setting.section == *section) {
            default_of(&mut text, setting);
        }
    }
    text
}

fn default_of(text: &mut String, setting: &Setting) {
    text.push('\n');
    comment(text, &setting.explanation());
    if setting.form == Form::Secret {
        comment(text, &format!("Only as {}.", setting.variable()));
        return;
    }
    comment(text, &format!("Allowed: {}.", setting.allowed()));
    let _ = writeln!(text, "#{} = {}", setting.field, (setting.show)(&Config::default()));
}

/// Broken into lines, none longer than [`COLUMNS`] unless a word is.
fn comment(text: &mut String, said: &str) {
    let mut column = 0;
    for word in said.split(' ') {
        if column == 0 || column + 1 + word.len() > COLUMNS {
            text.push_str(if column == 0 { "#" } else { "\n#" });
            column = 1;
        }
        text.push(' ');
        text.push_str(word);
        column += 1 + word.len();
    }
    text.push('\n');
}
