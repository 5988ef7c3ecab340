//! The program itself: its commands, its settings, its start and its end.

mod commands;
mod drain;
mod program;
mod secrets;
