//! API servers, or what stands before them, that answer what no API server answers: without end, of
//! absurd size, again and again, in other formats. Whatever it is costs bounded memory, holds up
//! nothing else and ends nothing.

mod lists;
mod scene;
mod waits;
mod watches;
mod writes;
