//! The program itself: its commands, its settings, its start and its end.

mod backups;
mod commands;
mod drain;
mod program;
mod secrets;
