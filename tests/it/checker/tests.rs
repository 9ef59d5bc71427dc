//! Bad histories that must be refused, one per rule, and a good one.
