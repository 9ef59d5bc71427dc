//! Tables that grew give their room back: a shard has a thousand of them, and memory follows who is talking.

use std::{collections::HashMap, hash::BuildHasher, hash::Hash};

/// Gives back the room of a table that is empty, or mostly. To be called after a removal.
pub fn give_back<K: Eq + Hash, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    // Half of what is kept stays free, so that a table of changing length does not move at every change.
    if table.len() < table.capacity() / 8 || table.is_empty() {
        table.shrink_to(table.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_room_for_twice_what_is_in_it() {
        let mut table: HashMap<u32, u32> = (0..1_000).map(|n| (n, n)).collect();
        let grown = table.capacity();
        table.retain(|n, _| *n < 300);
        give_back(&mut table);
        assert!(table.capacity() > 1_000, "it may grow again");
        table.retain(|n, _| *n < 100);
        give_back(&mut table);
        assert!((200..grown).contains(&table.capacity()));
        table.clear();
        give_back(&mut table);
        assert_eq!(table.capacity(), 0);
    }
}
