//! What is wrong with the settings: every mistake at once, each with the place to mend and what is allowed there.

use std::{fmt, path::PathBuf, sync::Arc};

use super::table::{SECTIONS, SETTINGS};

/// Exit code for wrong settings, as in BSD's `sysexits.h`: starting again does not help, a person has to.
pub const EXIT_CONFIG: u8 = 78;

/// Where a value comes from; a later one wins over an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the file.
    File(Arc<PathBuf>, usize),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub origin: Origin,
    /// What it is, and what is allowed.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => f.write_str(&self.what),
            origin => write!(f, "{origin}: {}", self.what),
        }
    }
}

/// Why settings are refused: all that is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<Mistake>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = if self.0.len() == 1 { "mistake" } else { "mistakes" };
        write!(f, "{} {many} in the settings", self.0.len())?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

/// `name` is no setting; says which one may be meant.
pub(super) fn unknown(name: &str) -> String {
    let names = SETTINGS.iter().map(|setting| setting.name());
    format!("{name} is no setting{}", meant(name, names))
}

/// The environment variable names no setting.
pub(super) fn unknown_variable(name: &str) -> String {
    let names = SETTINGS.iter().map(|setting| setting.variable());
    format!("this variable is no setting{}", meant(name, names))
}

/// `[name]` is no section.
pub(super) fn unknown_section(name: &str) -> String {
    let sections: Vec<&str> = SECTIONS.iter().map(|(section, _)| *section).collect();
    format!("[{name}] is no section; there are {}", sections.join(", "))
}

fn meant(wrong: &str, known: impl Iterator<Item = String>) -> String {
    nearest(wrong, known).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// The known name that is most like the wrong one, unless none is.
fn nearest(wrong: &str, known: impl Iterator<Item = String>) -> Option<String> {
    // The right field in a wrong section is as likely as a typo.
    let field = |name: &str| name.split_once('.').map(|(_, field)| field.to_owned());
    let distance_to = |name: &String| match (field(wrong), field(name)) {
        (Some(wrong), Some(known)) if wrong == known => 1,
        _ => distance(wrong, name),
    };
    let near = known.map(|name| (distance_to(&name), name)).min();
    near.filter(|(distance, name)| *distance <= name.len() / 4).map(|(_, name)| name)
}

/// Letters to insert, drop or change to make one from the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.chars().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_letters() {
        for (from, to, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("adress", "address", 1)]
        {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn the_nearest_name_is_suggested_and_nonsense_gets_none() {
        assert!(unknown("listen.adress").ends_with("did you mean listen.address?"));
        assert!(unknown("limits.connections_max").ends_with("did you mean listen.connections_max?"));
        assert_eq!(unknown("listen.quux"), "listen.quux is no setting");
        let said = unknown_variable("TIDINGS_LIMITS_OP_DEADLINE");
        assert!(said.ends_with("did you mean TIDINGS_LIMITS_OP_DEADLINE_MS?"), "{said}");
    }
}
