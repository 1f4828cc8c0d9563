//! All unsafe code of the house behind safe, named functions.
