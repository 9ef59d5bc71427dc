//! What strangers and broken clients do to the server: it says what is wrong, closes with the documented code, keeps its
//! memory, and nobody else notices.
