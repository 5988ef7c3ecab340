//! Every call that changes something, with the event that it must leave. A call that is missing here fails the test.

mod api;
mod pages;
mod people;
mod walk;
