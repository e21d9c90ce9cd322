//! Secrets, whole and malformed in many ways, go through every place that takes one, with all that the
//! process can log switched on. None of them may be seen in what it writes, in any spelling.

mod found;
mod malformed;
mod places;
mod sent;
