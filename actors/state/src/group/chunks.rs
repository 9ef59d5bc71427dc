//! Values by user, sorted, in chunks that grow by a few places: a large group costs little more than its members, and one
//! who comes or goes moves one chunk.

use tidings_schema::id::Uid;

/// Places of one chunk at most; a full one is split.
const CHUNK_MAX: usize = 128;
/// Below this a chunk is joined to a neighbour, if both fit into three quarters of one.
const CHUNK_MIN: usize = CHUNK_MAX / 4;
/// Places a full allocation grows by. Twice as many free places are given back.
const GROW: usize = 4;

/// A sorted map from users to `V`.
#[derive(Clone, Debug)]
pub struct Chunks<V> {
    /// Sorted, none empty, and every key of one is below those of the next.
    chunks: Vec<Vec<(Uid, V)>>,
    len: usize,
}

impl<V> Default for Chunks<V> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<V> Chunks<V> {
    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a user.
    #[must_use]
    pub fn get(&self, uid: &Uid) -> Option<&V> {
        let chunk = self.chunks.get(self.chunk_of(uid))?;
        let at = place(chunk, uid).ok()?;
        chunk.get(at).map(|(_, value)| value)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, uid: &Uid) -> Option<&mut V> {
        let at = self.chunk_of(uid);
        let chunk = self.chunks.get_mut(at)?;
        let at = place(chunk, uid).ok()?;
        chunk.get_mut(at).map(|(_, value)| value)
    }

    /// Sets the value of a user, and gives back the one it had.
    pub fn insert(&mut self, uid: Uid, value: V) -> Option<V> {
        let mut at = self.chunk_of(&uid);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push(one(uid, value));
            self.len += 1;
            return None;
        };
        let mut place = match place(chunk, &uid) {
            Ok(known) => return chunk.get_mut(known).map(|(_, old)| std::mem::replace(old, value)),
            Err(place) => place,
        };
        self.len += 1;
        if chunk.len() >= CHUNK_MAX {
            // What comes in order fills its chunks.
            if place == chunk.len() && at + 1 == self.chunks.len() {
                self.chunks.push(one(uid, value));
                return None;
            }
            self.split(at);
            if place > CHUNK_MAX / 2 {
                (at, place) = (at + 1, place - CHUNK_MAX / 2);
            }
        }
        if let Some(chunk) = self.chunks.get_mut(at) {
            if chunk.len() == chunk.capacity() {
                chunk.reserve_exact(GROW);
            }
            chunk.insert(place, (uid, value));
        }
        None
    }

    /// Takes a user out.
    pub fn remove(&mut self, uid: &Uid) -> Option<V> {
        let at = self.chunk_of(uid);
        let chunk = self.chunks.get_mut(at)?;
        let place = place(chunk, uid).ok()?;
        let (_, value) = chunk.remove(place);
        self.len -= 1;
        give_back(chunk);
        if chunk.len() < CHUNK_MIN {
            self.join(at);
        }
        Some(value)
    }

    /// Users after `after`, or all, rising.
    pub fn after(&self, after: Option<&Uid>) -> impl Iterator<Item = (&Uid, &V)> {
        let first = after.map_or(0, |uid| self.chunk_of(uid));
        let behind =
            move |chunk: &Vec<(Uid, V)>| after.map_or(0, |uid| chunk.partition_point(|(known, _)| known <= uid));
        let chunks = self.chunks.iter().skip(first);
        chunks.flat_map(move |chunk| chunk.iter().skip(behind(chunk))).map(|(uid, value)| (uid, value))
    }

    /// All users, rising, to change their values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Uid, &mut V)> {
        self.chunks.iter_mut().flatten().map(|(uid, value)| (&*uid, value))
    }

    /// The chunk that has the user, or would.
    fn chunk_of(&self, uid: &Uid) -> usize {
        let begins_at_or_before = |chunk: &Vec<(Uid, V)>| chunk.first().is_some_and(|(first, _)| first <= uid);
        self.chunks.partition_point(begins_at_or_before).saturating_sub(1)
    }

    fn split(&mut self, at: usize) {
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        let tail = chunk.split_off(CHUNK_MAX / 2);
        chunk.shrink_to_fit();
        self.chunks.insert(at + 1, tail);
    }

    /// Joins a small chunk to a neighbour that has room, so that chunks stay few.
    fn join(&mut self, at: usize) {
        let len = |at: usize| self.chunks.get(at).map_or(usize::MAX, Vec::len);
        let small = len(at);
        if small == 0 {
            self.chunks.remove(at);
            return;
        }
        let fits = |other: usize| len(other).saturating_add(small) <= CHUNK_MAX - CHUNK_MIN;
        let Some(left) =
            [at.checked_sub(1).filter(|left| fits(*left)), fits(at + 1).then_some(at)].into_iter().flatten().next()
        else {
            return;
        };
        let tail = self.chunks.remove(left + 1);
        if let Some(chunk) = self.chunks.get_mut(left) {
            chunk.reserve_exact(tail.len());
            chunk.extend(tail);
        }
    }
}

fn one<V>(uid: Uid, value: V) -> Vec<(Uid, V)> {
    let mut chunk = Vec::with_capacity(GROW);
    chunk.push((uid, value));
    chunk
}

fn place<V>(chunk: &[(Uid, V)], uid: &Uid) -> Result<usize, usize> {
    chunk.binary_search_by(|(known, _)| known.cmp(uid))
}

fn give_back<V>(chunk: &mut Vec<(Uid, V)>) {
    if chunk.capacity() - chunk.len() >= 2 * GROW {
        chunk.shrink_to(chunk.len() + GROW);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn uid(number: u64) -> Uid {
        format!("u{number:05}").parse().unwrap()
    }

    fn check(chunks: &Chunks<u64>, model: &BTreeMap<Uid, u64>) {
        assert_eq!(chunks.len(), model.len());
        assert!(chunks.after(None).eq(model.iter()));
        for chunk in &chunks.chunks {
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK_MAX);
            assert!(chunk.capacity() - chunk.len() < 2 * GROW, "{} of {}", chunk.len(), chunk.capacity());
        }
        let few = |pair: &[Vec<_>]| pair[0].len() < CHUNK_MIN && pair[1].len() < CHUNK_MIN;
        assert!(!chunks.chunks.windows(2).any(few), "two small neighbours");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn it_is_a_sorted_map(
            runs in prop::collection::vec((0_u64..3, 0_u64..1_000, 1_u64..400, 1_u64..7), 1..12), probe in 0_u64..3_000,
        ) {
            let (mut chunks, mut model) = (Chunks::default(), BTreeMap::new());
            for (kind, from, count, step) in runs {
                for number in (0..count).map(|at| from + at * step) {
                    if kind == 0 {
                        prop_assert_eq!(chunks.remove(&uid(number)), model.remove(&uid(number)));
                    } else {
                        prop_assert_eq!(chunks.insert(uid(number), number), model.insert(uid(number), number));
                    }
                }
                check(&chunks, &model);
            }
            let probe = uid(probe);
            prop_assert_eq!(chunks.get(&probe), model.get(&probe));
            prop_assert_eq!(chunks.get_mut(&probe), model.get_mut(&probe));
            prop_assert!(chunks.after(Some(&probe)).eq(model.iter().filter(|(uid, _)| **uid > probe)));
            prop_assert!(chunks.iter_mut().map(|(uid, value)| (uid, &*value)).eq(model.iter()));
        }
    }

    #[test]
    fn what_is_left_of_many_is_in_few_chunks() {
        let mut chunks = Chunks::default();
        (0..10_000).for_each(|number| _ = chunks.insert(uid(number), number));
        (0..10_000).filter(|number| number % 40 != 0).for_each(|number| _ = chunks.remove(&uid(number)));
        assert!(chunks.len() == 250 && chunks.chunks.len() <= 250 / (CHUNK_MIN / 2), "{} chunks", chunks.chunks.len());
    }

    #[test]
    fn what_comes_in_order_fills_its_chunks() {
        let mut chunks = Chunks::default();
        (0..1_000).for_each(|number| assert_eq!(chunks.insert(uid(number), number), None));
        assert!(chunks.chunks.iter().rev().skip(1).all(|chunk| chunk.len() == CHUNK_MAX));
    }
}
