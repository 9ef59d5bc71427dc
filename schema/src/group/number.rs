//! The numbers that stand for roles and rules on the wire and in records; they are the same in both.

use super::{Departure, HistoryForNew, JoinPolicy, Role};
use crate::{id::Uid, wire};

macro_rules! numbered {
    ($type:ident as $wire:ident { $($variant:ident),* }) => {
        impl $type {
            /// The number on the wire and in records.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self {
                    $(Self::$variant => wire::$wire::$variant as i32,)*
                }
            }

            /// What a number stands for; `None` for "unspecified" and for one of a later version.
            #[must_use]
            pub fn from_number(number: i32) -> Option<Self> {
                [$(Self::$variant),*].into_iter().find(|value| value.number() == number)
            }
        }
    };
}

numbered!(Role as Role { Member, Admin, Owner });
numbered!(JoinPolicy as JoinPolicy { Invite, Open });
numbered!(HistoryForNew as HistoryForNew { None, All });

impl Departure {
    /// The number of the reason.
    #[must_use]
    pub const fn number(&self) -> i32 {
        match self {
            Self::Left => wire::LeftReason::Left as i32,
            Self::Removed { .. } => wire::LeftReason::Removed as i32,
            Self::Dismissed => wire::LeftReason::Dismissed as i32,
        }
    }

    /// Who did it, in text; empty unless somebody removed the member.
    #[must_use]
    pub fn by(&self) -> &str {
        match self {
            Self::Removed { by } => by.as_str(),
            Self::Left | Self::Dismissed => "",
        }
    }

    /// Reads the number of a reason and who did it; `None` when they do not fit.
    #[must_use]
    pub fn from_parts(number: i32, by: &str) -> Option<Self> {
        match wire::LeftReason::try_from(number).ok()? {
            wire::LeftReason::Left => Some(Self::Left),
            wire::LeftReason::Dismissed => Some(Self::Dismissed),
            wire::LeftReason::Removed => by.parse::<Uid>().ok().map(|by| Self::Removed { by }),
            wire::LeftReason::Unspecified => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    #[test]
    fn records_and_the_wire_have_the_same_numbers_and_names() {
        for number in 0..8 {
            assert_eq!(
                wire::Role::try_from(number).map(|it| it.as_str_name()).ok(),
                record::Role::try_from(number).map(|it| it.as_str_name()).ok()
            );
            assert_eq!(
                wire::JoinPolicy::try_from(number).map(|it| it.as_str_name()).ok(),
                record::JoinPolicy::try_from(number).map(|it| it.as_str_name()).ok()
            );
            assert_eq!(
                wire::HistoryForNew::try_from(number).map(|it| it.as_str_name()).ok(),
                record::HistoryForNew::try_from(number).map(|it| it.as_str_name()).ok()
            );
            assert_eq!(
                wire::LeftReason::try_from(number).map(|it| it.as_str_name()).ok(),
                record::LeftReason::try_from(number).map(|it| it.as_str_name()).ok()
            );
        }
    }

    #[test]
    fn every_number_but_the_unspecified_one_reads_back() {
        let numbers = |of: fn(i32) -> Option<i32>| (-1..9).filter(|&number| of(number) == Some(number)).count();
        assert_eq!(numbers(|number| Role::from_number(number).map(Role::number)), 3);
        assert_eq!(numbers(|number| JoinPolicy::from_number(number).map(JoinPolicy::number)), 2);
        assert_eq!(numbers(|number| HistoryForNew::from_number(number).map(HistoryForNew::number)), 2);
        assert_eq!(numbers(|number| Departure::from_parts(number, "alice").map(|how| how.number())), 3);
        assert_eq!((Role::from_number(0), Departure::from_parts(0, "alice")), (None, None));
        assert_eq!(Departure::from_parts(wire::LeftReason::Removed as i32, ""), None);
    }
}
