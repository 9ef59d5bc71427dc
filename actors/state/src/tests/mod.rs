//! Property tests against naive models, and the crash test of a whole chain between two mailboxes.
